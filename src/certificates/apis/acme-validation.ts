import type {AcmeIssuer} from './acme-issuer.ts';
import type {AcmeSolver} from './acme-solver.ts';
import {parseGoDuration} from './duration.ts';
import {providerProblems} from './dns01-validation.ts';
import {isFilled, refusalOf, when} from './problems.ts';

/** What is wrong with `spec.acme` of an issuer. */
export function acmeProblems(acme: AcmeIssuer): readonly string[] {
  const {externalAccountBinding: binding, skipTLSVerify = false, solvers = []} = acme;
  return [
    ...when(
      acme.server === '',
      'spec.acme.server is empty: set it to the URL of the directory of the ACME server',
    ),
    ...when(
      acme.privateKeySecretRef.name === '',
      'spec.acme.privateKeySecretRef.name is empty: name the Secret for the key of the account',
    ),
    ...when(
      isFilled(acme.caBundle) && skipTLSVerify,
      'spec.acme: caBundle and skipTLSVerify exclude each other: leave one out',
    ),
    ...when(
      binding !== undefined && (binding.keyID === '' || binding.keySecretRef.name === ''),
      'spec.acme.externalAccountBinding needs keyID and the name of the Secret with the key',
    ),
    ...solvers.flatMap((solver, index) => solverProblems(`spec.acme.solvers[${index}]`, solver)),
  ];
}

function solverProblems(path: string, solver: AcmeSolver): readonly string[] {
  const {http01, dns01, waitInsteadOfSelfCheck: wait} = solver;
  return [
    ...when(
      (http01 === undefined) === (dns01 === undefined),
      `${path} needs exactly one of http01 and dns01`,
    ),
    ...(http01 === undefined ? [] : http01Problems(`${path}.http01`, http01)),
    ...(dns01 === undefined ? [] : providerProblems(`${path}.dns01`, dns01)),
    ...(wait === undefined ? [] : waitProblems(`${path}.waitInsteadOfSelfCheck`, wait)),
  ];
}

function http01Problems(
  path: string,
  {ingress, gatewayHTTPRoute}: NonNullable<AcmeSolver['http01']>,
): readonly string[] {
  const names = [ingress?.class, ingress?.ingressClassName, ingress?.name].filter(isFilled);
  const services = [ingress?.serviceType, gatewayHTTPRoute?.serviceType];
  return [
    ...when(
      (ingress === undefined) === (gatewayHTTPRoute === undefined),
      `${path} needs exactly one of ingress and gatewayHTTPRoute`,
    ),
    ...when(
      names.length > 1,
      `${path}.ingress takes at most one of class, ingressClassName and name`,
    ),
    ...when(
      services.some((type = '') => !['', 'ClusterIP', 'NodePort'].includes(type)),
      `${path}: serviceType must be ClusterIP or NodePort`,
    ),
  ];
}

function waitProblems(path: string, wait: string): readonly string[] {
  const unreadable = refusalOf(path, () => parseGoDuration(wait));
  if (unreadable.length > 0) return unreadable;
  return when(wait.startsWith('-'), `${path} is ${wait}: it must not be negative`);
}
