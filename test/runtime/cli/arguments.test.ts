import test, {type ExecutionContext} from 'ava';
import {COMMAND_NAMES, parseArguments} from '#runtime/cli/arguments';
import {HELP} from '#runtime/cli/help';

const argumentsOf = (line: string) => parseArguments(line === '' ? [] : line.split(' '));

const refuses = test.macro((t: ExecutionContext, line: string, hint?: string) => {
  const error = t.throws(() => argumentsOf(line), {code: 'ERR_USAGE'});
  if (hint !== undefined) t.is((error as {hint?: string} | undefined)?.hint, hint);
});

test('no command is the daemon, and its flags are keys of the file', t => {
  const {command, sources} = argumentsOf(
    '--config /c --listen unix:///s --root /r --state /t --cni-conf-dir /n --cni-bin-dir /b1' +
      ' --cni-bin-dir /b2 --runtime /x --conmon /y --cgroup-manager cgroupfs' +
      ' --registries-conf /z --log-level debug',
  );
  t.is(command, 'daemon');
  t.deepEqual(sources, {
    file: '/c',
    runtime: '/x',
    flags: {
      listen: 'unix:///s',
      root: '/r',
      state: '/t',
      conmon: '/y',
      cgroupManager: 'cgroupfs',
      registriesFile: '/z',
      logLevel: 'debug',
      cni: {confDirectory: '/n', binDirectories: ['/b1', '/b2']},
    },
  });
  t.deepEqual(argumentsOf('').sources, {file: undefined, runtime: undefined, flags: {}});
});

test('options may stand before and after a command', t => {
  const {command, options, words} = argumentsOf('--socket unix:///a/s ps -a -o json');
  t.is(command, 'ps');
  t.like(options, {socket: '/a/s', all: true, output: 'json'});
  t.deepEqual(words, []);
});

test('what follows exec and an id belongs to the command in the container', t => {
  for (const line of [
    'exec --timeout 5 c1 ls -la --help',
    'exec --timeout 5 c1 -- ls -la --help',
  ]) {
    const {command, options, words} = argumentsOf(line);
    t.is(command, 'exec');
    t.is(options.timeoutMs, 5000);
    t.deepEqual(words, ['c1', 'ls', '-la', '--help']);
  }
});

test('a command of two words is one command', t => {
  const {command, words, options} = argumentsOf('image import --name a:1 --name b:2 -');
  t.is(command, 'image import');
  t.deepEqual([words, options.names], [['-'], ['a:1', 'b:2']]);
});

test('--help is help wherever it stands, --version alone is the version', t => {
  t.is(argumentsOf('--help').command, 'help');
  t.is(argumentsOf('ps -h').command, 'help');
  t.is(argumentsOf('--version').command, 'version');
});

test(
  'an unknown command is refused with the nearest',
  refuses,
  'imags',
  'did you mean "slipway-cri images"?',
);
test(
  'an unknown second word is refused',
  refuses,
  'image imort x',
  'did you mean "slipway-cri image import"?',
);
test(
  'an unknown option is refused with the nearest',
  refuses,
  '--lisen x',
  'did you mean --listen?',
);
test('an option of another command is refused', refuses, 'ps --follow');
test('a flag of the daemon is refused for a command', refuses, 'ps --root /x');
test('an unknown output is refused', refuses, 'ps -o yaml');
test('a time-out that is no number is refused', refuses, 'ps --timeout 1h');
test('a time-out of zero is refused', refuses, 'ps --timeout 0');
test('the word "daemon" is no command', refuses, 'daemon');

test('the help names every command', t => {
  for (const name of COMMAND_NAMES.filter(
    known => !['daemon', 'help', 'version'].includes(known),
  )) {
    t.true(HELP.includes(`\n  ${name} `) || HELP.includes(`slipway-cri ${name}`), name);
  }
  t.true(HELP.split('\n').every(line => line.length <= 100));
});
