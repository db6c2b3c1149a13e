import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {debianMirror} from '#shared/debian-mirror';
import {temporaryFolder} from '#test/temporary-folder';

const finds = test.macro(
  async (t: ExecutionContext, lines: readonly string[], expected?: string) => {
    t.is(await debianMirror(lines.join('\n')), expected);
  },
);

test("the Debian archive is found by its origin among apt's sources, whatever its address", finds, [
  'Node Source|nodistro|http://node.invalid/',
  'Docker|bookworm|https://vendor.invalid/linux/debian/',
  'Debian|bookworm-security|http://mirror.invalid/debian-security/',
  'Debian|bookworm-debug|http://mirror.invalid/debian-debug/',
  'Debian|bookworm|http://mirror.invalid/proxy/deb/',
], 'http://mirror.invalid/proxy/deb/'); // prettier-ignore
test('a repository of somebody else is no archive of Debian, whatever its address', finds, [
  'Docker|bookworm|https://vendor.invalid/debian/',
]); // prettier-ignore
test('before the lists were fetched, the archive is known by its address', finds, [
  '$(ORIGIN)|nodistro|http://node.invalid/',
  '$(ORIGIN)|bookworm|https://vendor.invalid/linux/debian/',
  '$(ORIGIN)|bookworm-security|http://mirror.invalid/debian/',
  '$(ORIGIN)|bookworm|http://mirror.invalid/debian/',
], 'http://mirror.invalid/debian/'); // prettier-ignore
test("a company's proxy is known by its address, too", finds, [
  '$(ORIGIN)|bookworm|http://proxy.invalid/mirrors/debian/',
], 'http://proxy.invalid/mirrors/debian/'); // prettier-ignore
test('sources without a Debian archive have no mirror', finds, [
  'Ubuntu|noble|http://u.invalid/ubuntu',
  'Debian|bookworm|cdrom:[Debian 12]/',
]); // prettier-ignore
test('no sources have no mirror', finds, ['']);

// apt 2.6 writes `URIs: mirror+file:///etc/apt/mirrors/debian.list` in this way.
test('of a file with mirrors, as cloud images have one, the first address is taken', async t => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'debian.list');
  const targets = (origin: string) => `${origin}|bookworm|mirror+file:${file}/\n`;
  t.is(await debianMirror(targets('Debian')), undefined, 'no such file');
  const lines = ['# mirrors', 'file:/srv/debian', '  https://cdn.invalid/debian\tpriority:1'];
  await writeFile(file, [...lines, 'http://second.invalid/debian', ''].join('\n'));
  t.is(await debianMirror(targets('Debian')), 'https://cdn.invalid/debian');
  t.is(await debianMirror(targets('$(ORIGIN)')), 'https://cdn.invalid/debian');
  t.is(await debianMirror(`Debian|bookworm|mirror+file://${file}`), 'https://cdn.invalid/debian');
  t.is(await debianMirror(`Debian|bookworm-security|mirror+file:${file}/`), undefined);
});
