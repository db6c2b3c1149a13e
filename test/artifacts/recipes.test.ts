import {access, constants, mkdir, readFile, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {catalogue, componentOf, filesOf} from '#artifacts/catalogue';
import {compareVersions, ensureAptPackages, goVersion} from '#artifacts/prerequisites';
import {parseNeeds, unmetNeeds} from '#artifacts/sources/debian-programs';
import {
  buildFailure,
  cgoPackages,
  commandName,
  goSettings,
  isTransient,
} from '#artifacts/sources/compile-go';
import {recipeOn, selectEntries, unpackCommand} from '#artifacts/sources/extract-debian';
import {takeNpmProgram} from '#artifacts/sources/npm-program';
import {machineArch, openPackagesSource} from '#artifacts/sources/packages';
import {hasCommand, run} from '#shared/local-process';
import {writeProgram} from '#test/program-file';
import {temporaryFolder} from '#test/temporary-folder';
import {testWhere} from '#test/test-where';
import test from 'ava';

const {signal} = new AbortController();
const onProgress = () => undefined;
const goFolder = join(import.meta.dirname, '../../src/artifacts/go');

test('every file of the catalogue comes from one component, and every component is found by it', t => {
  const files = catalogue.flatMap(filesOf);
  t.is(new Set(files).size, files.length);
  for (const component of catalogue) {
    for (const file of filesOf(component)) t.is(componentOf(file), component);
  }
});

for (const {name, version, recipe} of catalogue) {
  if (recipe.kind !== 'go') continue;
  test(`the committed Go module of ${name} gives the version that the catalogue says`, async t => {
    const text = await readFile(join(goFolder, name, 'go.mod'), 'utf8');
    t.regex(text, new RegExp(`^module slipway\\.invalid/${name}$`, 'm'));
    const required = [...text.matchAll(/^(?:require )?\s*(\S+) (v\S+)/gm)];
    for (const path of Object.values(recipe.packages)) {
      const modules = required.filter(([, module = '']) => `${path}/`.startsWith(`${module}/`));
      const longest = modules.toSorted((a, b) => String(b[1]).length - String(a[1]).length)[0];
      t.is(longest?.[2], version, path);
    }
    await t.notThrowsAsync(access(join(goFolder, name, 'go.sum')));
  });
}

test('only the Tencent cloud client of flannel is replaced, beside the staging modules of Kubernetes', async t => {
  for (const {name, recipe} of catalogue) {
    if (recipe.kind !== 'go') continue;
    const text = await readFile(join(goFolder, name, 'go.mod'), 'utf8');
    const replaced = [...text.matchAll(/^\s*(?:replace )?(\S+) => (\S+)/gm)];
    const foreign = replaced.filter(([, from, to]) => from !== to).map(([, from]) => from);
    const vpc = 'github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc';
    t.deepEqual(foreign, name === 'flannel' ? [vpc] : [], name);
  }
});

test('a key changes with version, architecture and recipe, and with nothing else', async t => {
  const pause = componentOf('network-layer');
  const source = (arch: 'amd64' | 'arm64') => openPackagesSource({arch, signal, onProgress});
  const key = await source('amd64').key(pause);
  t.is(await source('amd64').key({...pause}), key);
  t.not(await source('arm64').key(pause), key);
  t.not(await source('amd64').key({...pause, version: 'other'}), key);
  t.not(await source('amd64').key({...pause, recipe: {...componentOf('pause').recipe}}), key);
});

test('a component with C parts is refused for another architecture', async t => {
  const arch = machineArch() === 'amd64' ? 'arm64' : 'amd64';
  const source = openPackagesSource({arch, signal, onProgress});
  for (const file of ['runc', 'flanneld', 'pause'] as const) {
    await t.throwsAsync(source.key(componentOf(file)), {code: 'ERR_ARTIFACT_ARCH_UNAVAILABLE'});
  }
});

test('a machine that is neither amd64 nor arm64 is refused', t => {
  t.is(machineArch('x64'), 'amd64');
  t.is(machineArch('arm64'), 'arm64');
  t.throws(() => machineArch('ppc64'), {code: 'ERR_ARTIFACT_ARCH_UNAVAILABLE'});
});

test('programs with C parts are linked statically, the others are built without C', t => {
  const {recipe} = componentOf('runc');
  if (recipe.kind !== 'go') return void t.fail();
  const withC = goSettings(recipe, 'amd64');
  t.is(withC.env['CGO_ENABLED'], '1');
  t.deepEqual(withC.flags.slice(0, 2), ['-tags', 'seccomp,netgo,osusergo']);
  t.regex(withC.flags.at(-1) ?? '', /-X main\.version=1\.5\.2 .*-extldflags "-static"/);
  const {cgo: _cgo, ...pure} = recipe;
  const without = goSettings(pure, 'arm64');
  t.is(without.env['CGO_ENABLED'], '0');
  t.is(without.env['GOARCH'], 'arm64');
  t.is(without.env['GOTOOLCHAIN'], 'local');
  t.deepEqual(without.flags, ['-ldflags', '-s -w -X main.version=1.5.2']);
});

test('C parts of Go programs bring pkg-config, which finds their libraries, where it is missing', t => {
  const {recipe} = componentOf('runc');
  if (recipe.kind !== 'go') return void t.fail();
  const compiler = ['gcc', 'libc6-dev', 'libseccomp-dev'];
  t.deepEqual(
    cgoPackages(recipe, () => false),
    [...compiler, 'pkg-config'],
  );
  t.deepEqual(
    cgoPackages(recipe, command => command === 'pkg-config'),
    compiler,
    'also another package has it: pkgconf',
  );
  const {cgo: _cgo, ...pure} = recipe;
  t.deepEqual(
    cgoPackages(pure, () => false),
    [],
  );
});

test('a command is named as go build names it', t => {
  t.is(commandName('go.etcd.io/etcd/server/v3'), 'server');
  t.is(commandName('k8s.io/kubernetes/cmd/kubeadm'), 'kubeadm');
  t.is(commandName('github.com/coredns/coredns'), 'coredns');
});

const failures: readonly [string, string, string, RegExp][] = [
  [
    'a version that the proxy refuses',
    'go: downloading example.org/a v1.0.0\ngo: example.org/sdk/vpc@v1.3.188: reading https://proxy.invalid/example.org/sdk/vpc/@v/v1.3.188.mod: 403 Forbidden',
    'ERR_MODULE_UNAVAILABLE',
    /example\.org\/sdk\/vpc@v1\.3\.188/,
  ],
  [
    'a proxy that cannot be reached',
    '../go.mod:5:2: example.org/a@v1.0.0: Get "https://proxy.invalid/example.org/a/@v/v1.0.0.zip": dial tcp: lookup proxy.invalid: no such host',
    'ERR_MODULE_UNAVAILABLE',
    /example\.org\/a@v1\.0\.0/,
  ],
  [
    'a module whose content is not the locked one',
    'verifying example.org/a@v1.0.0: checksum mismatch\n\tdownloaded: h1:x\n\tgo.sum: h1:y',
    'ERR_MODULE_UNAVAILABLE',
    /checksum mismatch/,
  ],
  [
    'a proxy that is switched off',
    'module lookup disabled by GOPROXY=off',
    'ERR_MODULE_UNAVAILABLE',
    /GOPROXY=off/,
  ],
  [
    'an error of the compiler',
    'example.org/a/pkg\n# example.org/a/pkg\npkg/file.go:3:2: undefined: x',
    'ERR_BUILD_FAILED',
    /undefined: x/,
  ],
  [
    'a full disk',
    'example.org/a\nwrite /tmp/go-build1/b001/_pkg_.a: no space left on device',
    'ERR_ARTIFACT_DISK_FULL',
    /no space left/,
  ],
];

for (const [what, stderr, code, message] of failures) {
  test(`${what} is reported as ${code}`, t => {
    const error = buildFailure({name: 'etcd', version: 'v3.6.8'}, stderr);
    t.is<string, string>(error.code, code);
    t.regex(error.message, message);
    t.notRegex(error.message, /go: downloading/);
  });
}

test('a broken connection is tried again, a refusal is not', t => {
  const said = (reason: string) =>
    `go: example.org/a@v1.0.0: reading https://proxy.invalid/example.org/a/@v/v1.0.0.mod: ${reason}`;
  t.true(isTransient(said('503 Service Unavailable')));
  t.true(isTransient(said('read tcp 10.0.0.1:1->10.0.0.2:443: connection reset by peer')));
  t.false(isTransient(said('403 Forbidden')));
  t.false(isTransient(said('404 Not Found')));
  t.false(isTransient('pkg/file.go:3:2: i/o timeout is not defined'));
});

test('versions are compared by number', t => {
  t.true(compareVersions('go1.26.8', '1.26.0') > 0);
  t.true(compareVersions('go1.9', '1.26.0') < 0);
  t.is(compareVersions('go1.26', '1.26.0'), 0);
  t.true(compareVersions('go1.27rc1', '1.26.0') > 0);
  t.is(compareVersions('go1.26.8 X:nodwarf5', '1.26.8'), 0);
});

test.serial('a missing or old Go compiler is refused', async t => {
  await using folder = await temporaryFolder();
  await mkdir(join(folder.path, 'bin'));
  await mkdir(join(folder.path, 'one'));
  await writeFile(join(folder.path, 'one/go.mod'), 'module x\n\ngo 1.26.0\n');
  const {PATH} = process.env;
  const read = () => goVersion({goFolder: folder.path, modules: ['one']}, signal);
  try {
    process.env['PATH'] = join(folder.path, 'bin');
    await t.throwsAsync(read(), {code: 'ERR_COMPILER_MISSING'});
    const go = join(folder.path, 'bin/go');
    writeProgram(go, '#!/bin/sh\necho go1.19.8\n');
    await t.throwsAsync(read(), {code: 'ERR_COMPILER_MISSING'});
    writeProgram(go, '#!/bin/sh\necho go1.26.8\n');
    t.is(await read(), 'go1.26.8');
    writeProgram(go, '#!/bin/sh\necho broken >&2; exit 2\n');
    await t.throwsAsync(read(), {code: 'ERR_COMPILER_MISSING'});
  } finally {
    process.env['PATH'] = PATH;
  }
});

test.serial('Debian packages that are missing are named when apt cannot install them', async t => {
  await using folder = await temporaryFolder();
  const {PATH} = process.env;
  try {
    process.env['PATH'] = folder.path;
    const ensuring = ensureAptPackages(['gcc', 'libc6-dev'], {signal, onProgress});
    const error = await t.throwsAsync(ensuring, {code: 'ERR_PACKAGES_MISSING'});
    t.regex(error.message, /gcc libc6-dev/);
  } finally {
    process.env['PATH'] = PATH;
  }
});

test('no packages need no package manager', async t => {
  await t.notThrowsAsync(ensureAptPackages([], {signal, onProgress}));
});

test('Debian packages are unpacked by root as ever, by another user in the mode that needs no root', t => {
  const recipe = {suite: 'trixie', include: ['a', 'b']};
  const options = {arch: 'amd64', root: '/w/root', mirrors: ['http://m.invalid/'], isRoot: true} as const; // prettier-ignore
  const asRoot = unpackCommand(recipe, options);
  t.deepEqual(asRoot.slice(-4), ['--include=a,b', 'trixie', '/w/root', 'http://m.invalid/']);
  t.false(asRoot.some(word => word.startsWith('--mode')));
  const [command, mode, ...others] = unpackCommand(recipe, {...options, isRoot: false});
  t.deepEqual([command, mode], ['mmdebstrap', '--mode=chrootless']);
  t.deepEqual(others, asRoot.slice(1));
});

test('of unpacked packages what is kept is taken, what is dropped is not, links are added', async t => {
  await using folder = await temporaryFolder();
  const root = folder.path;
  await mkdir(join(root, 'usr/lib/x/gconv'), {recursive: true});
  await mkdir(join(root, 'var'));
  await writeFile(join(root, 'usr/lib/x/a.so'), 'a', {mode: 0o644});
  await writeFile(join(root, 'usr/lib/x/gconv/b.so'), 'b');
  await writeFile(join(root, 'var/log'), 'c');
  await symlink('a.so', join(root, 'usr/lib/x/a'));
  const keep = ['usr/lib'];
  const drop = ['usr/lib/*/gconv'];
  const entries = await selectEntries(root, {keep, drop, links: {lib: 'usr/lib'}});
  const shown = entries.map(entry => `${entry.kind} ${entry.path}`).sort();
  t.deepEqual(shown, [
    'directory usr/lib',
    'directory usr/lib/x',
    'file usr/lib/x/a.so',
    'link lib',
    'link usr/lib/x/a',
  ]);
});

const readelf = ` 0x0000000000000001 (NEEDED)             Shared library: [libglib-2.0.so.0]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x000000000000000c (INIT)               0x4000
  0x0010:   Name: GLIBC_2.9  Flags: none  Version: 9
  0x0030:   Name: GLIBC_2.34  Flags: none  Version: 12
  0x0040:   Name: GLIBC_2.4  Flags: none  Version: 8
`;

test('what a program of a distribution needs is read from it', t => {
  const needs = {libraries: ['libc.so.6', 'libglib-2.0.so.0'], glibc: '2.34'};
  t.deepEqual(parseNeeds(readelf), needs);
  const text = 'There is no dynamic section in this file.';
  t.deepEqual(parseNeeds(text), {libraries: [], glibc: undefined});
});

test('a program that needs what hosts lack is refused', t => {
  const needs = parseNeeds(readelf);
  const libraries = ['libc.so.6', 'libglib-2.0.so.0', 'libsystemd.so.0'];
  t.is(unmetNeeds(needs, {libraries, glibcMax: '2.34'}), undefined);
  t.regex(unmetNeeds(needs, {libraries, glibcMax: '2.31'}) ?? '', /2\.34/);
  const without = unmetNeeds(needs, {libraries: ['libc.so.6'], glibcMax: '2.34'});
  t.is(without, 'it needs libglib-2.0.so.0');
  t.is(unmetNeeds({libraries: [], glibc: undefined}, {libraries: [], glibcMax: '2.34'}), undefined);
});

test('the versions of our own program and of Node are those of package.json', async t => {
  const text = await readFile(join(goFolder, '../../../package.json'), 'utf8');
  const {version, optionalDependencies} = JSON.parse(text) as {
    version: string;
    optionalDependencies: Record<string, string>;
  };
  t.is(componentOf('slipway-cri').version, version);
  const {version: node, recipe} = componentOf('node');
  if (recipe.kind !== 'npm') return void t.fail();
  for (const name of Object.values(recipe.packages)) t.is(node, `v${optionalDependencies[name]}`);
});

test('a program of npm is that of this architecture and of the version that the catalogue says', async t => {
  await using folder = await temporaryFolder();
  const component = componentOf('node');
  const {recipe} = component;
  if (recipe.kind !== 'npm') return void t.fail();
  const [own, other] = machineArch() === 'amd64' ? ['amd64', 'arm64'] : ['arm64', 'amd64'];
  const job = {component, recipe, folder: folder.path};
  const files = await takeNpmProgram(job, own as 'amd64');
  await t.notThrowsAsync(access(files.node ?? '', constants.X_OK));
  await t.throwsAsync(takeNpmProgram(job, other as 'arm64'), {
    code: 'ERR_ARTIFACT_ARCH_UNAVAILABLE',
  });
  await t.throwsAsync(
    takeNpmProgram({...job, component: {...component, version: 'v1.0.0'}}, own as 'amd64'),
    {code: 'ERR_BUILD_FAILED'},
  );
});

const withReadelf = testWhere(hasCommand('readelf'), 'readelf of binutils');
withReadelf("the layer below Node has the libraries that Node's binary asks for", async t => {
  const path = join(
    import.meta.dirname,
    '../../node_modules',
    `node-linux-${process.arch}/bin/node`,
  );
  const {exitCode, stdout} = await run(['readelf', '--wide', '--dynamic', path], {signal});
  t.is(exitCode, 0, path);
  const glibc = ['libc.so.6', 'libdl.so.2', 'libm.so.6', 'libpthread.so.0', 'ld-linux-x86-64.so.2', 'ld-linux-aarch64.so.1']; // prettier-ignore
  const fromPackages: Readonly<Record<string, string>> = {
    ...Object.fromEntries(glibc.map(name => [name, 'libc6'])),
    'libstdc++.so.6': 'libstdc++6',
    'libgcc_s.so.1': 'libgcc-s1',
  };
  const {recipe} = componentOf('node-layer');
  if (recipe.kind !== 'debian') return void t.fail();
  for (const library of parseNeeds(stdout).libraries) {
    t.true(recipe.include.includes(fromPackages[library] ?? ''), library);
  }
});

test('the folder of the loader of x86-64 is taken along there alone', t => {
  const recipe = {
    keep: ['usr/lib', 'usr/lib64'],
    drop: [],
    links: {lib: 'usr/lib', lib64: 'usr/lib64'},
  };
  t.deepEqual(recipeOn(recipe, 'amd64'), recipe);
  t.deepEqual(recipeOn(recipe, 'arm64'), {keep: ['usr/lib'], drop: [], links: {lib: 'usr/lib'}});
});
