import {globSync, readFileSync} from 'node:fs';
import test from 'ava';
import {artifactsErrors} from '#artifacts/errors';
import {certificatesErrors} from '#certificates/errors';
import {labErrors} from '#lab/errors';
import {exitCodeOf} from '#provisioner/cli/exit-code';
import {provisionerErrors} from '#provisioner/errors';
import {ProblemsError, throwProblems} from '#provisioner/problems-error';
import {commandErrors, runtimeErrors} from '#runtime/errors';
import {CodedError, type ErrorRegistry} from '#shared/errors';
import {kubeErrors} from '#shared/kube/errors';
import {ociErrors} from '#shared/oci/errors';

const root = new URL('../../../', import.meta.url).pathname;
const registries: Readonly<Record<string, ErrorRegistry>> = {
  provisioner: provisionerErrors,
  artifacts: artifactsErrors,
  oci: ociErrors,
  kube: kubeErrors,
  lab: labErrors,
  certificates: certificatesErrors,
};
/** What the launchers say before there is a Node: each code with the exit that follows it. */
const launcherCodes = new Map(
  [
    ...readFileSync(`${root}bin/install-packages`, 'utf8').matchAll(
      /(ERR_[A-Z_]+): [^]*?exit (\d+)/g,
    ),
  ].map(([, code = '', exitCode]) => [code, Number(exitCode)]),
);
const all = new Map<string, number>([
  ...Object.values(registries).flatMap(each => Object.entries(each)),
  ...launcherCodes,
]);
const error = (code: string, message = code) => new CodedError(code, message, {hint: 'next'});

for (const [name, registry] of Object.entries(registries)) {
  if (name === 'lab' || name === 'certificates') continue; // src/cli.ts and slipway-certs look there themselves
  test(`every code of ${name} has its exit code`, t => {
    for (const [code, exitCode] of Object.entries(registry)) {
      t.is(exitCodeOf(error(code)), exitCode, code);
    }
  });
}

test('a code means the same exit code wherever it is listed', t => {
  for (const [name, registry] of Object.entries(registries)) {
    for (const [code, exitCode] of Object.entries(registry)) {
      t.true(exitCode === all.get(code), `${code} of ${name}`);
    }
  }
});

test('every code that the sources name is in a registry', t => {
  const files = globSync('{src,roles}/**/*.ts', {cwd: root});
  t.true(files.length > 100);
  const unknown = files.flatMap(file =>
    [...readFileSync(`${root}${file}`, 'utf8').matchAll(/'(ERR_[A-Z_]*[A-Z])'/g)]
      .map(([, code = '']) => code)
      .filter(code => !all.has(code) && !(code in {...runtimeErrors, ...commandErrors}))
      .filter(code => code !== 'ERR_DEFECT' && !code.startsWith('ERR_PARSE_ARGS'))
      .map(code => `${file}: ${code}`),
  );
  t.deepEqual(unknown, []);
});

test('docs/errors.md has a section for every code, with its exit code, and no other', t => {
  const text = readFileSync(`${root}docs/errors.md`, 'utf8');
  const sections = text.split(/^### /m).slice(1);
  const documented = new Map(
    sections.map(section => {
      const code = section.slice(0, section.indexOf('\n')).trim();
      return [code, Number(/^Exit (\d+)[.,]/m.exec(section)?.[1])];
    }),
  );
  const missing = [...all].filter(([code, exitCode]) => documented.get(code) !== exitCode);
  t.deepEqual(missing, []);
  t.deepEqual([...documented.keys()].filter(code => !all.has(code) && code !== 'ERR_DEFECT'), []); // prettier-ignore
  t.is(new Set(documented.keys()).size, sections.length, 'every code has one section');
});

test('docs/errors.md has every exit code in its table', t => {
  const text = readFileSync(`${root}docs/errors.md`, 'utf8');
  for (const exitCode of new Set([0, 1, 3, ...all.values()])) {
    t.regex(text, new RegExp(`^\\| ${exitCode} \\|`, 'm'), String(exitCode));
  }
});

test('what has no code is a defect', t => {
  t.is(exitCodeOf(new TypeError('x')), 1);
  t.is(exitCodeOf('x'), 1);
  t.is(exitCodeOf(error('ERR_OF_NOBODY')), 1);
});

test('of several failures the lowest exit code counts, whatever their order', t => {
  const [disk, ssh, key] = ['ERR_DISK_FULL', 'ERR_HOST_UNREACHABLE', 'ERR_CONFIG_VALUE'].map(code =>
    error(code),
  ) as [CodedError, CodedError, CodedError];
  t.is(exitCodeOf(new ProblemsError([disk, ssh, key])), 10);
  t.is(exitCodeOf(new ProblemsError([disk, ssh])), 12);
  t.is(exitCodeOf(new ProblemsError([disk])), 14);
});

test('throwProblems() throws nothing for nothing, one failure as it is, several together', t => {
  t.notThrows(() => {
    throwProblems([]);
  });
  const first = error('ERR_DISK_FULL', 'h1: full');
  const second = error('ERR_SUDO_REFUSED', 'h2: no');
  const thrown = (errors: readonly unknown[]) =>
    t.throws(() => {
      throwProblems(errors);
    });
  t.is(thrown([first]), first);
  const both = thrown([first, second]);
  t.true(both instanceof ProblemsError);
  t.like(both, {
    code: 'ERR_DISK_FULL',
    message: 'h1: full (and 1 more)',
    problems: [first, second],
  });
});

test('throwProblems() throws a defect before anything else', t => {
  const defect = new TypeError('x');
  const thrown = t.throws(() => {
    throwProblems([error('ERR_DISK_FULL'), defect]);
  });
  t.is(thrown, defect);
});
