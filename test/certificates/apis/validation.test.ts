import test from 'ava';
import {issuerProblems} from '#certificates/apis/issuer-validation';
import {certificateProblems} from '#certificates/apis/validation';
import {acceptedCertificates, refusedCertificates} from './judged-certificates.ts';
import {acceptedIssuers, refusedIssuers} from './judged-issuers.ts';

for (const {title, spec} of acceptedCertificates) {
  test(`certificateProblems() finds nothing wrong with ${title}`, t => {
    t.deepEqual(certificateProblems(spec), []);
  });
}

for (const {title, spec, onlyThere} of refusedCertificates) {
  if (onlyThere) {
    test(`certificateProblems() lets ${title} pass, in what is there already`, t => {
      t.deepEqual(certificateProblems(spec), []);
    });
  } else {
    test(`certificateProblems() finds what is wrong with ${title}`, t => {
      t.is(certificateProblems(spec).length, 1);
    });
  }
}

for (const {title, spec} of acceptedIssuers) {
  test(`issuerProblems() finds nothing wrong with ${title}`, t => {
    t.deepEqual(issuerProblems(spec), []);
  });
}

for (const {title, spec} of refusedIssuers) {
  test(`issuerProblems() finds what is wrong with ${title}`, t => {
    t.is(issuerProblems(spec).length, 1);
  });
}

test('certificateProblems() tells every problem, and of a long list only a few', t => {
  const [first] = refusedCertificates;
  const dnsNames = Array.from({length: 50}, (_, i) => `ü${i}`);
  const spec = {...first?.spec, issuerRef: {name: ''}, secretName: '', dnsNames};
  const problems = certificateProblems(spec);
  t.is(problems.filter(problem => problem.startsWith('spec.dnsNames')).length, 3);
  t.is(problems.length, 5);
});
