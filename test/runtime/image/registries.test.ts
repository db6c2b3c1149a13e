import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {createLog} from '#shared/log';
import {candidatesFor} from '#runtime/image/registries/candidates';
import {loadRegistries} from '#runtime/image/registries/load-registries';
import {
  mergeRegistriesConf,
  noRegistriesConf,
  parseRegistriesConf,
} from '#runtime/image/registries/registries-conf';
import {resolveName} from '#runtime/image/registries/short-names';
import {formatReference, parseReference} from '#shared/oci/reference';
import {temporaryFolder} from '#test/temporary-folder';
import test, {type ExecutionContext} from 'ava';

const hex = 'a'.repeat(64);
const parse = (...texts: readonly string[]) =>
  mergeRegistriesConf(
    texts.map((text, at) => parseRegistriesConf(text, `${at}.conf`).conf),
    'x',
  );
const placesOf = (name: string, text: string): readonly string[] =>
  candidatesFor(parseReference(name), parse(text)).map(
    ({reference, insecure, isMirror}) =>
      `${formatReference(reference)}${insecure ? ' insecure' : ''}${isMirror ? ' mirror' : ''}`,
  );

const leads = test.macro(
  (t: ExecutionContext, text: string, name: string, ...places: readonly string[]) => {
    t.deepEqual(placesOf(name, text), places);
  },
);

test('without rules the registry in the name is asked', leads, '', 'a.io/x:1', 'a.io/x:1');
test(
  'mirrors are asked in their order, then the registry itself',
  leads,
  `[[registry]]
   location = "a.io"
   [[registry.mirror]]
   location = "m1.io:5000/cache"
   insecure = true
   [[registry.mirror]]
   location = "m2.io"`,
  'a.io/team/x:1',
  'm1.io:5000/cache/team/x:1 insecure mirror',
  'm2.io/team/x:1 mirror',
  'a.io/team/x:1',
);
test(
  'a prefix is replaced by its location',
  leads,
  `[[registry]]
   prefix = "a.io/team"
   location = "b.io/other"
   insecure = true`,
  'a.io/team/x:1',
  'b.io/other/x:1 insecure',
);
test(
  'a prefix can be one repository',
  leads,
  '[[registry]]\nprefix = "a.io/team/x"\nlocation = "b.io/y"',
  `a.io/team/x@sha256:${hex}`,
  `b.io/y@sha256:${hex}`,
);
test(
  'the longest prefix wins, whatever the order',
  leads,
  `[[registry]]
   prefix = "a.io/team/x"
   location = "long.io/x"
   [[registry]]
   prefix = "a.io"
   location = "short.io"`,
  'a.io/team/x:1',
  'long.io/x:1',
);
test(
  'a prefix ends where a part of the name ends',
  leads,
  '[[registry]]\nprefix = "a.io/team"\nlocation = "b.io"',
  'a.io/teams/x:1',
  'a.io/teams/x:1',
);
test(
  'a host as prefix is not the same host with a port',
  leads,
  '[[registry]]\nprefix = "a.io"\nlocation = "b.io"',
  'a.io:5000/x:1',
  'a.io:5000/x:1',
);
test(
  'a host is not the start of another host',
  leads,
  '[[registry]]\nprefix = "a.io"\nlocation = "b.io"',
  'a.io.evil.com/x:1',
  'a.io.evil.com/x:1',
);
test(
  'a wildcard stands for labels before a domain, however many',
  leads,
  '[[registry]]\nprefix = "*.example.com"\nlocation = "b.io"',
  'x.y.example.com/team/x:1',
  'b.io/team/x:1',
);
test(
  'a wildcard without location keeps the name',
  leads,
  '[[registry]]\nprefix = "*.example.com"\ninsecure = true',
  'x.example.com/x:1',
  'x.example.com/x:1 insecure',
);
test(
  'a wildcard is not the domain itself, nor a path',
  leads,
  '[[registry]]\nprefix = "*.example.com"\nlocation = "b.io"',
  'c.io/x.example.com/x:1',
  'c.io/x.example.com/x:1',
);
test(
  'the bare domain is not one of its subdomains',
  leads,
  '[[registry]]\nprefix = "*.example.com"\nlocation = "b.io"',
  'example.com/x:1',
  'example.com/x:1',
);
test(
  'a mirror for digests only is left out for a tag',
  leads,
  '[[registry]]\nlocation = "a.io"\nmirror-by-digest-only = true\nmirror = [{location = "m.io"}]',
  'a.io/x:1',
  'a.io/x:1',
);
test(
  'a mirror for digests only is asked for a digest',
  leads,
  '[[registry]]\nlocation = "a.io"\nmirror-by-digest-only = true\nmirror = [{location = "m.io"}]',
  `a.io/x@sha256:${hex}`,
  `m.io/x@sha256:${hex} mirror`,
  `a.io/x@sha256:${hex}`,
);
test(
  'pull-from-mirror is each mirror’s own',
  leads,
  `[[registry]]
   location = "a.io"
   mirror = [
     {location = "d.io", pull-from-mirror = "digest-only"},
     {location = "t.io", pull-from-mirror = "tag-only"},
     {location = "all.io", pull-from-mirror = "all"},
   ]`,
  'a.io/x:1',
  't.io/x:1 mirror',
  'all.io/x:1 mirror',
  'a.io/x:1',
);
test(
  'rules for docker.io meet images of its library',
  leads,
  '[[registry]]\nlocation = "docker.io"\nmirror = [{location = "m.io"}]',
  'busybox',
  'm.io/library/busybox:latest mirror',
  'docker.io/library/busybox:latest',
);

const ANY =
  '[[registry]]\nprefix = "*"\nmirror = [{location = "10.89.0.2:5000", insecure = true}]\n';
test(
  'the prefix * without location is every registry, and its mirrors only',
  leads,
  ANY,
  'a.io:5000/team/x:1',
  '10.89.0.2:5000/team/x:1 insecure mirror',
);
test(
  'the prefix * comes after any other that fits',
  leads,
  `${ANY}[[registry]]\nlocation = "a.io"`,
  'a.io/x:1',
  'a.io/x:1',
);
test(
  'the prefix * may have a location',
  leads,
  '[[registry]]\nprefix = "*"\nlocation = "b.io/all"',
  'a.io/x:1',
  'b.io/all/x:1',
);

test('the prefix * with mirrors that are not for such a name leads nowhere', t => {
  const text =
    '[[registry]]\nprefix = "*"\nmirror-by-digest-only = true\nmirror = [{location = "m.io"}]';
  t.throws(() => placesOf('a.io/x:1', text), {code: 'ERR_REGISTRY_BLOCKED'});
});

test('a blocked registry gives nothing, nor do its mirrors', t => {
  const text = '[[registry]]\nlocation = "a.io"\nblocked = true\nmirror = [{location = "m.io"}]';
  t.throws(() => placesOf('a.io/x:1', text), {code: 'ERR_REGISTRY_BLOCKED'});
  t.notThrows(() => placesOf('b.io/x:1', text));
});

const wrong: readonly [string, string][] = [
  ['no TOML', '[[registry'],
  ['version 1 of the format', '[registries.search]\nregistries = ["a.io"]'],
  ['a rule without location', '[[registry]]\nprefix = "a.io"'],
  ['a rule with nothing', '[[registry]]\ninsecure = true'],
  ['a location with a scheme', '[[registry]]\nlocation = "https://a.io"'],
  ['a location without host', '[[registry]]\nlocation = "team/x"'],
  ['a wildcard inside', '[[registry]]\nprefix = "a.*.io"\nlocation = "b.io"'],
  ['a rule for all registries that leads nowhere', '[[registry]]\nprefix = "*"'],
  ['a mirror without location', '[[registry]]\nlocation = "a.io"\nmirror = [{insecure = true}]'],
  ['a word for a truth value', '[[registry]]\nlocation = "a.io"\ninsecure = "yes"'],
  ['an unknown mode', 'short-name-mode = "strict"'],
  [
    'both ways to limit mirrors',
    '[[registry]]\nlocation = "a.io"\nmirror-by-digest-only = true\n' +
      'mirror = [{location = "m.io", pull-from-mirror = "all"}]',
  ],
  [
    'one place safe and unsafe',
    '[[registry]]\nlocation = "a.io"\n[[registry]]\nprefix = "b.io"\nlocation = "a.io"\ninsecure = true',
  ],
  ['a search registry with a path', 'unqualified-search-registries = ["a.io/x"]'],
  ['an alias to a short name', '[aliases]\nx = "team/x"'],
  ['an alias to a tag', '[aliases]\nx = "a.io/x:1"'],
  ['an alias of a full name', '[aliases]\n"a.io/x" = "b.io/x"'],
];
for (const [what, text] of wrong) {
  test(`registries.conf with ${what} is refused`, t => {
    t.throws(() => parse(text), {code: 'ERR_REGISTRIES_CONF_INVALID'});
  });
}

const namesOf = (name: string, text?: string): readonly string[] =>
  resolveName(name, text === undefined ? noRegistriesConf : parse(text)).map(formatReference);

test('a full name means itself, and a tag beside a digest is dropped', t => {
  t.deepEqual(namesOf('a.io/x'), ['a.io/x:latest']);
  t.deepEqual(namesOf('localhost:5000/x:1'), ['localhost:5000/x:1']);
  t.deepEqual(namesOf(`a.io/x:1@sha256:${hex}`), [`a.io/x@sha256:${hex}`]);
  t.deepEqual(namesOf('docker.io/busybox'), ['docker.io/library/busybox:latest']);
});

test('a short name is Docker’s where no file says otherwise', t => {
  t.deepEqual(namesOf('busybox'), ['docker.io/library/busybox:latest']);
  t.deepEqual(namesOf('team/x:1'), ['docker.io/team/x:1']);
  t.deepEqual(namesOf('busybox:1', '[[registry]]\nlocation = "a.io"'), [
    'docker.io/library/busybox:1',
  ]);
});

test('a short name belongs to the one search registry', t => {
  t.deepEqual(namesOf('x:1', 'unqualified-search-registries = ["a.io"]'), ['a.io/x:1']);
  t.deepEqual(namesOf('x', 'unqualified-search-registries = ["docker.io"]'), [
    'docker.io/library/x:latest',
  ]);
});

test('a short name is refused where none is allowed', t => {
  t.throws(() => namesOf('x', 'unqualified-search-registries = []'), {
    code: 'ERR_SHORT_NAME_AMBIGUOUS',
  });
});

test('a short name that could be of several registries is refused, unless guessing is allowed', t => {
  const two = 'unqualified-search-registries = ["a.io", "b.io"]';
  t.throws(() => namesOf('x', two), {code: 'ERR_SHORT_NAME_AMBIGUOUS'});
  for (const mode of ['permissive', 'disabled']) {
    const names = namesOf('x', `${two}\nshort-name-mode = "${mode}"`);
    t.deepEqual(names, ['a.io/x:latest', 'b.io/x:latest']);
  }
});

test('an alias comes before search registries, and keeps tag and digest', t => {
  const text = 'unqualified-search-registries = []\n[aliases]\nx = "a.io/team/x"\n"t/y" = "b.io/y"';
  t.deepEqual(namesOf('x:2', text), ['a.io/team/x:2']);
  t.deepEqual(namesOf('t/y', text), ['b.io/y:latest']);
  t.deepEqual(namesOf(`x@sha256:${hex}`, text), [`a.io/team/x@sha256:${hex}`]);
});

test('names that are none are refused', t => {
  for (const name of ['', 'a.io/', 'X Y', `x@sha256:12`, 'a'.repeat(600)]) {
    t.throws(() => namesOf(name), {code: 'ERR_IMAGE_REFERENCE_INVALID'}, name);
  }
});

test('drop-ins are read in the order of their names, and replace', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'registries.conf');
  await mkdir(`${path}.d`);
  const files: readonly [string, string][] = [
    [
      path,
      'unqualified-search-registries = ["a.io"]\n[[registry]]\nlocation = "a.io"\n[aliases]\nx = "a.io/x"',
    ],
    [`${path}.d/20.conf`, '[[registry]]\nprefix = "a.io"\nlocation = "c.io"'],
    [`${path}.d/10.conf`, '[[registry]]\nprefix = "a.io"\nlocation = "b.io"\n[aliases]\nx = ""'],
    [`${path}.d/30.conf~`, 'this is no TOML'],
  ];
  for (const [file, text] of files) await writeFile(file, text);
  const conf = await loadRegistries(path, createLog({level: 'error', write: () => undefined}));
  t.deepEqual(conf.searchRegistries, ['a.io']);
  t.deepEqual(
    conf.rules.map(({location}) => location),
    ['c.io'],
  );
  t.is(conf.aliases.size, 0);
});

test('no file has no rules; a folder in its place is an error', async t => {
  await using folder = await temporaryFolder();
  const log = createLog({level: 'error', write: () => undefined});
  t.deepEqual(await loadRegistries(join(folder.path, 'none'), log), {...noRegistriesConf});
  await t.throwsAsync(loadRegistries(folder.path, log), {code: 'ERR_REGISTRIES_CONF_INVALID'});
});

test('keys that mean nothing to us are told once, and do no harm', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'registries.conf');
  await writeFile(path, 'future = 1\ncredential-helpers = ["secretservice"]\n');
  const lines: string[] = [];
  const log = createLog({level: 'warn', write: line => lines.push(line)});
  await loadRegistries(path, log);
  await loadRegistries(path, log);
  t.is(lines.length, 2);
});
