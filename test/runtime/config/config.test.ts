import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {CodedError} from '#shared/errors';
import {parseToml} from '#shared/toml';
import {documentedKeys, formatConfigPage, formatDefaultConfig} from '#runtime/config/document';
import {loadConfig} from '#runtime/config/load';
import {findPrograms} from '#runtime/config/programs';
import {reloadable} from '#runtime/config/reload';
import {createLog} from '#shared/log';
import {folderOf} from '#test/cri-service';
import {isGolden} from '#test/golden';

const nowhere = '/nonexistent/cri.toml';

/** Writes files by name below a folder of the test, and loads `cri.toml` there. */
async function load(
  t: ExecutionContext,
  files: Readonly<Record<string, string>>,
  flags: Readonly<Record<string, unknown>> = {},
) {
  const folder = await folderOf(t);
  mkdirSync(join(folder, 'cri.toml.d'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return loadConfig({file: join(folder, 'cri.toml'), flags});
}

const defaults = (t: ExecutionContext) => load(t, {'cri.toml': ''});

const refuses = test.macro(
  async (t: ExecutionContext, text: string, expected: string | readonly string[]) => {
    const error = await t.throwsAsync<CodedError>(load(t, {'cri.toml': text}), {
      code: 'ERR_CONFIG_INVALID',
    });
    const found = error.message.split('\n').map(line => line.replace(/^.*cri\.toml/, ''));
    t.deepEqual(found, typeof expected === 'string' ? [expected] : [...expected]);
    t.not(error.hint, '');
  },
);

test('no file at all is the default configuration', async t => {
  const config = await loadConfig({file: undefined, flags: {}});
  t.is(config.root, '/var/lib/slipway/cri');
  t.is(config.socket, '/run/slipway/cri.sock');
  t.is(config.exitsDirectory, '/run/slipway/cri/exits');
  t.deepEqual(config.runtimes, {
    runc: {path: '/usr/local/bin/runc', root: '/run/slipway/cri/oci/runc'},
  });
  t.is(config.cni.cacheDirectory, '/var/lib/slipway/cri/cni');
  t.is(config.metrics.address, undefined);
});

test('a file that was named has to be there', async t => {
  await t.throwsAsync(loadConfig({file: nowhere, flags: {}}), {code: 'ERR_CONFIG_UNREADABLE'});
});

test('drop-ins come on top by name, and flags on top of them; tables are merged', async t => {
  const config = await load(
    t,
    {
      'cri.toml': 'logLevel = "warn"\npinnedImages = ["a", "b"]\n[cni]\nconfDirectory = "/a"',
      'cri.toml.d/20.toml': 'logLevel = "debug"\n[runtimes.crun]\npath = "/b/crun"',
      'cri.toml.d/10.toml':
        'logLevel = "error"\npinnedImages = ["c"]\n[cni]\nbinDirectories = ["/b"]',
      'cri.toml.d/ignored.conf': 'nonsense',
    },
    {root: '/r', cni: {binDirectories: ['/f']}},
  );
  t.is(config.logLevel, 'debug');
  t.deepEqual(config.pinnedImages, ['c']);
  t.deepEqual(config.cni, {confDirectory: '/a', binDirectories: ['/f'], cacheDirectory: '/r/cni'});
  t.is(config.runtimes['crun']?.path, '/b/crun');
  t.is(config.runtimes['runc']?.path, '/usr/local/bin/runc');
});

test('limits become numbers of the kernel', async t => {
  const {defaultUlimits} = await load(t, {
    'cri.toml': '[[defaultUlimits]]\nname = "nofile"\nsoft = 1024\nhard = -1',
  });
  t.deepEqual(defaultUlimits, [{name: 'nofile', soft: 1024n, hard: 2n ** 64n - 1n}]);
});

test('an unknown key is refused with the one that was meant', refuses, '\nlogLevl = "info"', [
  ':2 logLevl: unknown key; did you mean "logLevel"?',
]);
test(
  'an unknown key of a table is refused with those there are',
  refuses,
  '[metrics]\nport = 1',
  ':2 metrics.port: unknown key; known here: address',
);
test(
  'every problem of a file is named at once',
  refuses,
  'root = "x"\n[streaming]\nport = 70000\n',
  [
    ':1 root: expected an absolute path, found "x"',
    ':3 streaming.port: expected a port from 0 to 65535, found 70000',
  ],
);
test('a text that is no TOML is refused', refuses, 'root = \n', [
  ':1: invalid value at line 1, column 8',
]);
test('a value of another type is refused', refuses, 'cni = 3', ':1 cni: expected a table, found 3');
test(
  'streaming away from the loopback is refused',
  refuses,
  '[streaming]\naddress = "0.0.0.0"',
  ':2 streaming.address: expected "127.0.0.1" or "::1", found "0.0.0.0"',
);
test(
  'a log limit below that of conmon is refused',
  refuses,
  'logSizeMax = 100',
  ':1 logSizeMax: expected 0, or at least 8192, found 100',
);
test(
  'a missing part of a list is named',
  refuses,
  '[[defaultUlimits]]\nname = "nofile"\nsoft = 1',
  [':1 defaultUlimits.0.hard: missing, expected a whole number'],
);
test(
  'a default handler that is not configured is refused',
  refuses,
  'defaultRuntime = "kata"',
  ' defaultRuntime: there is no [runtimes.kata]',
);

test('a wrong flag is refused like a wrong key', async t => {
  await t.throwsAsync(load(t, {'cri.toml': ''}, {root: 'relative'}), {code: 'ERR_CONFIG_INVALID'});
});

test('a folder or a huge file in place of the configuration is refused', async t => {
  const folder = await folderOf(t);
  await t.throwsAsync(loadConfig({file: folder, flags: {}}), {code: 'ERR_CONFIG_UNREADABLE'});
  const huge = join(folder, 'huge.toml');
  writeFileSync(huge, '#'.repeat(2 * 1024 * 1024));
  await t.throwsAsync(loadConfig({file: huge, flags: {}}), {code: 'ERR_CONFIG_UNREADABLE'});
});

test('the printed default is the default', async t => {
  const text = formatDefaultConfig();
  t.deepEqual(await load(t, {'cri.toml': text}), await defaults(t));
  const names = Object.keys(parseToml(text));
  t.deepEqual(
    documentedKeys()
      .filter(({path}) => path.length === 1)
      .map(({path}) => path[0])
      .filter(name => !names.includes(name ?? '')),
    [],
  );
});

test('every key has a meaning', t => {
  t.deepEqual(
    documentedKeys().filter(({description}) => !/^[A-Z].*[.]$/.test(description)),
    [],
  );
});

test('the documentation is what the schema says', t => {
  isGolden(
    t,
    formatConfigPage(),
    new URL('../../../docs/runtime-configuration.md', import.meta.url),
  );
  isGolden(t, formatDefaultConfig(), new URL('golden/default.toml', import.meta.url));
});

test('a reload takes some keys over and names those that wait for a restart', async t => {
  const old = await defaults(t);
  const next = {
    ...old,
    logLevel: 'debug' as const,
    pinnedImages: ['a'],
    listen: 'unix:///other.sock',
    socket: '/other.sock',
    pidsLimit: 5,
  };
  const {config, taken, waiting} = reloadable(old, next);
  t.deepEqual(
    [taken, waiting].map(names => [...names].sort()),
    [
      ['logLevel', 'pinnedImages'],
      ['listen', 'pidsLimit'],
    ],
  );
  t.deepEqual(config, {...old, logLevel: 'debug', pinnedImages: ['a']});
  t.deepEqual(reloadable(old, old), {config: old, taken: [], waiting: []});
});

test('programs that are not at their default places are found on the PATH', async t => {
  const folder = await folderOf(t);
  for (const name of ['runc', 'conmon', 'catatonit']) {
    writeFileSync(join(folder, name), '', {mode: 0o755});
  }
  writeFileSync(join(folder, 'crun'), '', {mode: 0o644});
  const lines: string[] = [];
  const log = createLog({level: 'debug', write: line => lines.push(line)});
  const config = await load(t, {
    'cri.toml':
      'conmon = "/opt/slipway/bin/conmon"\n[runtimes.crun]\n[runtimes.gone]\npath = "/gone/x"',
  });
  const found = findPrograms(config, {path: `relative:/nonexistent:${folder}`, log});
  t.is(found.runtimes['runc']?.path, join(folder, 'runc'));
  t.is(found.conmon, join(folder, 'conmon'));
  t.is(found.tini, join(folder, 'catatonit'));
  t.deepEqual(Object.keys(found.runtimes), ['runc']);
  t.is(lines.filter(line => line.includes('handler left out')).length, 2);
  const path = folder;
  t.throws(() => findPrograms({...config, conmon: '/gone/conmon'}, {path, log}), {
    code: 'ERR_TOOL_MISSING',
  });
  t.throws(() => findPrograms({...config, defaultRuntime: 'gone'}, {path, log}), {
    code: 'ERR_TOOL_MISSING',
  });
});
