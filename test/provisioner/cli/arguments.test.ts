import {globSync, readFileSync} from 'node:fs';
import test from 'ava';
import {parseArguments, VERBS} from '#provisioner/cli/arguments';
import {HELP} from '#provisioner/cli/help';
import {isCoded} from '#shared/errors';

const defaults = {
  yes: false,
  dryRun: false,
  deep: false,
  detailedExitcode: false,
  acceptNewHostKeys: false,
  output: 'text',
  limit: [],
  forks: 50,
  registry: undefined,
  namespace: undefined,
};

const words = (line: string): string[] => line.split(' ').filter(Boolean);

/** The options that are not named have their defaults. */
const parses = test.macro((t, line: string, expected: object, options: object = {}) => {
  const {options: found, ...rest} = parseArguments(words(line));
  if (Object.keys(expected).length > 0) t.like(rest, expected);
  t.deepEqual(found as object, {...defaults, ...options});
});

test('a path alone is applied', parses, 'cluster.yaml', {verb: 'apply', clusterFile: 'cluster.yaml'}); // prettier-ignore
test('a path with a slash is a path', parses, 'inventory/sample', {verb: 'apply', clusterFile: 'inventory/sample'}); // prettier-ignore
for (const verb of VERBS) {
  if (verb === 'kubectl' || verb === 'images') continue;
  test(`${verb} takes a cluster file`, parses, `${verb} c.yaml`, {verb, clusterFile: 'c.yaml', rest: []}); // prettier-ignore
  test(`${verb} takes the lab's without one`, parses, verb, {verb, clusterFile: undefined});
}
test('--yes', parses, 'c.yaml --yes', {}, {yes: true});
test('-y', parses, '-y c.yaml', {}, {yes: true});
test('--dry-run makes a plan of an apply', parses, 'c.yaml --dry-run', {verb: 'plan'}, {dryRun: true}); // prettier-ignore
test('--deep', parses, 'plan --deep', {verb: 'plan'}, {deep: true});
test('--detailed-exitcode', parses, 'plan --detailed-exitcode', {}, {detailedExitcode: true});
test('--accept-new-host-keys', parses, 'c.yaml --accept-new-host-keys', {}, {acceptNewHostKeys: true}); // prettier-ignore
test('--output json', parses, 'c.yaml --output json', {}, {output: 'json'});
test('-o json', parses, 'c.yaml -o json', {}, {output: 'json'});
test('--limit takes names, again and again', parses, 'c.yaml --limit h1,h2 --limit=h3', {verb: 'apply'}, {limit: ['h1', 'h2', 'h3']}); // prettier-ignore
test('--forks 1', parses, 'c.yaml --forks 1', {}, {forks: 1});
test('--forks 1000', parses, 'c.yaml --forks 1000', {}, {forks: 1000});
test('issuers test takes a name, which may have dots', parses, 'issuers test ca.internal c.yaml', {clusterFile: 'c.yaml', rest: ['test', 'ca.internal']}); // prettier-ignore
test('issuers test takes a namespace', parses, 'issuers test ca -n web', {clusterFile: undefined, rest: ['test', 'ca']}, {namespace: 'web'}); // prettier-ignore
test('certs status takes a namespace', parses, 'certs status --namespace web -o json', {rest: ['status']}, {namespace: 'web', output: 'json'}); // prettier-ignore
test('all namespaces are the default of certs', parses, 'certs status -A', {rest: ['status']});
test('images push takes a registry', parses, 'images push --registry http://r:5000', {verb: 'images', rest: ['push'], clusterFile: undefined}, {registry: 'http://r:5000'}); // prettier-ignore
test('a cluster file may stand before the words of kubectl', parses, 'kubectl lab/cluster.yaml get nodes', {clusterFile: 'lab/cluster.yaml', rest: ['get', 'nodes']}); // prettier-ignore
test('what follows kubectl is its own, options and typos too', parses, 'kubectl get nodes -o wide --limt x', {verb: 'kubectl', rest: ['get', 'nodes', '-o', 'wide', '--limt', 'x']}); // prettier-ignore

const refuses = test.macro((t, line: string, hint?: RegExp) => {
  const error = t.throws(() => parseArguments(words(line)), {code: 'ERR_USAGE'});
  if (hint) t.regex(isCoded(error) ? error.hint : '', hint);
});

test('nothing is refused', refuses, '', /provision help/);
test('a mistyped command is refused, the nearest is named', refuses, 'plna', /provision plan/);
test('a mistyped lab is refused, the nearest is named', refuses, 'lba', /provision lab/);
test('a word that is like nothing is refused', refuses, 'qwertyuiop', /provision help/);
test('a mistyped option is refused, the nearest is named', refuses, 'c.yaml --forsk 3', /--forks/);
test('another mistyped option is refused', refuses, 'c.yaml --limt h1', /--limit/);
test('an option that is like nothing is refused', refuses, 'c.yaml --qwertyuiop');
test('an unknown letter is refused', refuses, 'c.yaml -z');
test('an option without its value is refused', refuses, 'c.yaml --limit');
test('an option that takes no value is refused one', refuses, 'c.yaml --yes=no');
test('two cluster files are refused', refuses, 'plan a.yaml b.yaml');
test('a second path is refused', refuses, 'a.yaml b.yaml');
test('an empty name in --limit is refused', refuses, 'c.yaml --limit h1,,h2');
test('an option of another command is refused, with those of this one', refuses, 'status --yes', /--output/); // prettier-ignore
test('a registry for an apply is refused', refuses, 'c.yaml --registry http://r:5000');
test('a namespace and all of them are refused', refuses, 'certs status -A -n web');
test('a namespace for an apply is refused', refuses, 'c.yaml -n web');
test('two cluster files for issuers are refused', refuses, 'issuers list a.yaml b.yaml');
test('another output is refused', refuses, 'c.yaml --output yaml');
for (const forks of ['0', '-1', '1.5', '1001', 'many', 'Infinity', '']) {
  test(`--forks=${forks} is refused`, refuses, `c.yaml --forks=${forks}`);
}

test('help names every command and every option, and no option that does not exist', t => {
  for (const verb of VERBS) t.regex(HELP, new RegExp(`^  ${verb}\\b`, 'm'), verb);
  const [source = ''] = globSync(new URL('../../../src/provisioner/cli/arguments.ts', import.meta.url).pathname); // prettier-ignore
  const known = [...readFileSync(source, 'utf8').matchAll(/^ {2}'?([a-z-]+)'?: \{type: '/gm)].map(
    ([, name]) => `--${name ?? ''}`,
  );
  t.is(known.length, 11);
  const named = [...HELP.matchAll(/--[a-z-]+/g)].map(([name]) => name);
  t.deepEqual([...new Set(named)].sort(), known.sort());
});
