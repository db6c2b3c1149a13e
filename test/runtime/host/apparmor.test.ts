import {
  isApparmorEnabled,
  loadDefaultApparmorProfile,
  type ApparmorMachine,
} from '#runtime/host/apparmor';
import {createLog} from '#shared/log';
import test from 'ava';

const ENABLED = {'/sys/module/apparmor/parameters/enabled': 'Y\n'};
const PROFILES = '/sys/kernel/security/apparmor/profiles';
const PARSER = '/usr/sbin/apparmor_parser';

interface Faked {
  readonly files: Readonly<Record<string, string>>;
  readonly parser?: string | undefined;
  readonly answer?: () => {readonly exitCode: number; readonly stderr?: string};
  readonly signal?: AbortSignal;
}

/** What was run and logged, and the answer, on a machine with these files and this parser. */
async function loadedOn({files, parser = PARSER, answer, signal}: Faked) {
  const runs: {readonly command: readonly string[]; readonly input: string}[] = [];
  const lines: string[] = [];
  const machine: ApparmorMachine = {
    readText: path => files[path],
    isProgram: path => path === parser,
    run: async ({command, input = ''}) => {
      runs.push({command, input: input.toString()});
      const {exitCode, stderr = ''} = answer?.() ?? {exitCode: 0};
      const bytes = Buffer.from(stderr);
      return await Promise.resolve({exitCode, stdout: bytes, stderr: bytes, truncated: false});
    },
  };
  const log = createLog({level: 'info', write: line => lines.push(line)});
  const profile = await loadDefaultApparmorProfile({
    log,
    signal: signal ?? new AbortController().signal,
    machine,
  });
  return {profile, runs, log: lines.join('')};
}

test('AppArmor is on where its module says Y', t => {
  t.true(isApparmorEnabled(() => 'Y\n'));
  t.false(isApparmorEnabled(() => 'N\n'));
  t.false(isApparmorEnabled(() => undefined));
});

for (const [what, files] of Object.entries({
  'without AppArmor': {},
  'with AppArmor switched off': {'/sys/module/apparmor/parameters/enabled': 'N\n'},
})) {
  test(`${what} nothing is loaded, and nothing said`, async t => {
    t.deepEqual(await loadedOn({files}), {profile: undefined, runs: [], log: ''});
  });
}

test('the default profile is handed to the parser, which replaces nothing on the disk', async t => {
  const {profile, runs, log} = await loadedOn({
    files: {...ENABLED, [PROFILES]: 'slipway-default-old (enforce)\n/usr/sbin/ntpd (enforce)\n'},
  });
  t.is(profile, 'slipway-default');
  t.deepEqual(
    runs.map(({command}) => command),
    [[PARSER, '-Kr']],
  );
  t.regex(runs[0]?.input ?? '', /^\nprofile slipway-default flags=/);
  t.regex(log, /^info /);
});

test('where the machine knows ABI 3.0, the profile is of it', async t => {
  const {runs} = await loadedOn({files: {...ENABLED, '/etc/apparmor.d/abi/3.0': 'query {}'}});
  t.regex(runs[0]?.input ?? '', /^abi <abi\/3\.0>,\n\nprofile /);
});

test('a profile of that name which is loaded stays, also without a parser', async t => {
  const files = {
    ...ENABLED,
    [PROFILES]: 'unconfined-one (unconfined)\nslipway-default (enforce)\n',
  };
  t.deepEqual(await loadedOn({files, parser: ''}), {
    profile: 'slipway-default',
    runs: [],
    log: '',
  });
});

test('a missing parser is a warning with the package to install', async t => {
  const {profile, runs, log} = await loadedOn({files: ENABLED, parser: '/no/parser'});
  t.is(profile, undefined);
  t.deepEqual(runs, []);
  t.regex(log, /^warn .*install the package apparmor/s);
});

test('a parser that fails is a warning with its words', async t => {
  const fail = () => ({exitCode: 254, stderr: 'Access denied. You need policy admin privileges\n'});
  const {profile, log} = await loadedOn({files: ENABLED, answer: fail});
  t.is(profile, undefined);
  t.regex(log, /^warn .*ended with 254: Access denied.*next=/s);
});

test('a parser that cannot be run is a warning, the end of the daemon is none', async t => {
  const fail = () => {
    throw new Error('it did not end within 30000 ms');
  };
  t.is((await loadedOn({files: ENABLED, answer: fail})).profile, undefined);
  const signal = AbortSignal.abort(new Error('the daemon ends'));
  await t.throwsAsync(loadedOn({files: ENABLED, answer: fail, signal}), {
    message: 'the daemon ends',
  });
});
