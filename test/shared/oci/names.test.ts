import {parseDigest} from '#shared/oci/digest';
import {MANIFEST_BYTES_MAX, mediaTypes, parseManifest} from '#shared/oci/manifest';
import {formatReference, manifestName, parseReference} from '#shared/oci/reference';
import test from 'ava';

const hex = 'a'.repeat(64);
const digest = `sha256:${hex}` as const;

const references: readonly [string, string, string][] = [
  ['busybox', 'docker.io/library/busybox:latest', 'latest'],
  ['library/busybox:1', 'docker.io/library/busybox:1', '1'],
  ['registry.k8s.io/pause:3.10.2', 'registry.k8s.io/pause:3.10.2', '3.10.2'],
  ['localhost/x', 'localhost/x:latest', 'latest'],
  ['10.89.0.2:5000/coredns/coredns:v1', '10.89.0.2:5000/coredns/coredns:v1', 'v1'],
  ['[fd00::1]:5000/a/b__c:v1', '[fd00::1]:5000/a/b__c:v1', 'v1'],
  [`ghcr.io/a/b@${digest}`, `ghcr.io/a/b@${digest}`, digest],
  [`ghcr.io/a/b:v1@${digest}`, `ghcr.io/a/b:v1@${digest}`, digest],
];

for (const [text, full, name] of references) {
  test(`${text} is read as ${full}`, t => {
    const reference = parseReference(text);
    t.is(formatReference(reference), full);
    t.is(manifestName(reference), name);
    t.deepEqual(parseReference(full), reference);
  });
}

const wrong: readonly string[] = [
  '',
  'UPPER/case',
  'ghcr.io/',
  'ghcr.io/a//b',
  'ghcr.io/a/-b',
  'ghcr.io/a:',
  'ghcr.io/a:.tag',
  `ghcr.io/a:${'t'.repeat(129)}`,
  `ghcr.io/${'a'.repeat(256)}`,
  'ghcr.io/a@sha256:1234',
  `ghcr.io/a@${digest}@${digest}`,
  'ghcr.io:port/a',
  'https://ghcr.io/a',
  'ghcr.io/a b',
  '../../etc/passwd',
  'x'.repeat(10_000),
];

for (const text of wrong) {
  test(`${JSON.stringify(text.slice(0, 40))} is refused as a reference`, t => {
    t.throws(() => parseReference(text), {code: 'ERR_IMAGE_REFERENCE_INVALID'});
  });
}

test('a digest is sha256 in lower case and nothing else', t => {
  t.is(parseDigest(digest), digest);
  for (const text of [hex, `sha256:${hex.toUpperCase()}`, `sha512:${hex}`, `${digest}0`, '']) {
    t.throws(() => parseDigest(text), {code: 'ERR_IMAGE_REFERENCE_INVALID'});
  }
});

const descriptor = {mediaType: mediaTypes.config, digest, size: 2};

test('a manifest without its own media type is read as the announced one', t => {
  const text = JSON.stringify({schemaVersion: 2, config: descriptor, layers: []});
  const manifest = parseManifest(text, mediaTypes.manifest);
  t.true('layers' in manifest);
});

test('an index is read with its platforms', t => {
  const platform = {architecture: 'arm64', os: 'linux'};
  const manifests = [{...descriptor, platform}];
  const text = JSON.stringify({schemaVersion: 2, mediaType: mediaTypes.index, manifests});
  const index = parseManifest(text, '');
  t.like(index, {manifests: [{platform}]});
});

const badManifests: readonly [string, string][] = [
  ['not JSON', '{'],
  ['null', 'null'],
  ['an array', '[]'],
  ['schema version 1', JSON.stringify({schemaVersion: 1, config: descriptor, layers: []})],
  [
    'a negative size',
    JSON.stringify({schemaVersion: 2, config: {...descriptor, size: -1}, layers: []}),
  ],
  [
    'a digest that is a path',
    JSON.stringify({schemaVersion: 2, config: {...descriptor, digest: '../x'}, layers: []}),
  ],
  [
    'too many layers',
    JSON.stringify({schemaVersion: 2, config: descriptor, layers: Array(600).fill(descriptor)}),
  ],
  ['too large', ' '.repeat(MANIFEST_BYTES_MAX + 1)],
];

for (const [what, text] of badManifests) {
  test(`${what} is refused as a manifest`, t => {
    t.throws(() => parseManifest(text, mediaTypes.manifest), {code: 'ERR_MANIFEST_INVALID'});
  });
}
