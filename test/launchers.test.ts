import {cp, mkdir, readFile, symlink, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {run} from '#shared/local-process';
import {hostProgram} from '#test/host-path';
import {writeProgram} from '#test/program-file';
import {temporaryFolder} from '#test/temporary-folder';

const INSTALL = join(import.meta.dirname, '../bin/install-packages');
/** What the launcher calls beside npm; flock is not on every system. */
const TOOLS = ['sh', 'cat', 'dirname', 'mkdir', 'rm', 'sleep', 'touch'];
const {signal} = new AbortController();

/** A checkout whose npm notes its calls, refuses a second one at a time, and installs what it is told. */
async function aCheckout({tools = [...TOOLS, 'flock'], npm = true, installs = 'node'} = {}) {
  const folder = await temporaryFolder();
  const at = (path: string) => join(folder.path, path);
  await mkdir(at('bin'));
  await mkdir(at('path'));
  await cp(INSTALL, at('bin/install-packages'));
  await writeFile(at('package-lock.json'), '{}');
  await writeFile(at('calls'), '');
  for (const tool of tools) await symlink(hostProgram(tool) ?? tool, at(`path/${tool}`));
  const script = `echo "$*" >>calls
mkdir alone || exit 1
rm -rf node_modules
sleep 0.5
mkdir -p node_modules/.bin
touch node_modules/.package-lock.json
[ '${installs}' = nothing ] || cp "$(command -v sh)" node_modules/.bin/${installs}
rm -r alone`;
  if (npm) writeProgram(at('path/npm'), `#!${hostProgram('sh')}\nPATH=/usr/bin:/bin\n${script}\n`);
  return {
    at,
    install: () => run([at('bin/install-packages')], {signal, env: {PATH: at('path')}}),
    calls: async () => (await readFile(at('calls'), 'utf8')).trim().split('\n').filter(Boolean),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

for (const [lock, tools] of [
  ['flock', [...TOOLS, 'flock']],
  ['mkdir, where there is no flock', TOOLS],
] as const) {
  test(`several that start at once install the packages once, locked by ${lock}`, async t => {
    await using checkout = await aCheckout({tools: [...tools]});
    const ends = await Promise.all([checkout.install(), checkout.install(), checkout.install()]);
    t.deepEqual(
      ends.map(({exitCode}) => exitCode),
      [0, 0, 0],
      ends.map(({stderr}) => stderr).join(''),
    );
    t.deepEqual(await checkout.calls(), ['ci --no-progress --loglevel=error']);
    t.is((await checkout.install()).stderr, '', 'nothing to do');
    const later = new Date(Date.now() + 5_000);
    await utimes(checkout.at('package-lock.json'), later, later);
    t.is((await checkout.install()).exitCode, 0);
    t.is((await checkout.calls()).length, 2, 'the lock file is newer');
  });
}

test('a lock without flock that a killed one left is taken over', async t => {
  await using checkout = await aCheckout({tools: TOOLS});
  await mkdir(checkout.at('.install-packages.lock.d'));
  await writeFile(checkout.at('.install-packages.lock.d/pid'), '999999999\n');
  t.is((await checkout.install()).exitCode, 0);
  t.is((await checkout.calls()).length, 1);
});

const failures = [
  ['ERR_NPM_MISSING', {npm: false}],
  ['ERR_NPM_INSTALL_FAILED', {installs: 'node', isBroken: true}],
  ['ERR_NODE_MISSING', {installs: 'nothing'}],
] as const;
for (const [code, given] of failures) {
  test(`${code} says what to do next`, async t => {
    await using checkout = await aCheckout(given);
    if ('isBroken' in given) await mkdir(checkout.at('alone'));
    const {exitCode, stderr} = await checkout.install();
    t.is(exitCode, 14);
    t.regex(stderr, new RegExp(`^${code}: .*\\n {2}next: `, 'm'));
  });
}
