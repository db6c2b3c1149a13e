import test from 'ava';
import {parseArguments} from '#provisioner/cli/arguments';
import {runnableHint} from '#provisioner/cli/runnable-hint';

const file = 'sites/one/cluster.yaml';
const hints = {
  'run "provision reset --limit h2" and then "provision" again': `run "provision reset --limit h2 ${file}" and then "provision ${file}" again`,
  'run "provision cluster.yaml" first': `run "provision ${file}" first`,
  'read its log: "provision kubectl logs -n a b"': `read its log: "provision kubectl ${file} logs -n a b"`,
  'correct it, then run "provision issuers test"': `correct it, then run "provision issuers test ${file}"`,
  '"provision help" lists commands and options': '"provision help" lists commands and options',
};

for (const [hint, expected] of Object.entries(hints)) {
  test(`${hint} names the file, so that it runs as it is`, t => {
    t.is(runnableHint(hint, file), expected);
    t.is(runnableHint(hint, undefined), hint);
    for (const [, command = ''] of expected.matchAll(/"provision ([^"]*)"/g)) {
      if (command === 'help') continue;
      t.is(parseArguments(command.split(' ')).clusterFile, file);
    }
  });
}

test('a file that only its place tells from other words is not put among them', t => {
  const hint = 'run "provision verify", then "provision kubectl get pods"';
  t.is(
    runnableHint(hint, './prod'),
    'run "provision verify ./prod", then "provision kubectl get pods"',
  );
});

test('a file whose name a shell would split is quoted', t => {
  t.is(runnableHint('run "provision plan"', 'my site.yaml'), `run "provision plan 'my site.yaml'"`);
});
