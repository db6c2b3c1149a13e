import {copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {sha256Hex} from '#shared/digest';
import {LAB_SUITE} from '../base/recipe.ts';
import {machineCommand} from '../machine-command.ts';

export interface PackageRepositoryOptions {
  /** Folder of .deb files. */
  readonly archives: string;
  /** Folder to make: `dists/` and `pool/`, the layout of the Debian wiki's DebianRepository/Format. */
  readonly target: string;
  /** Gets the armored public key that the repository is signed with. */
  readonly publicKeyFile: string;
  readonly signal: AbortSignal;
}

/** One package as `Packages` lists it. */
export interface PackageEntry {
  /** The archive's own control fields, as dpkg-deb prints them. */
  readonly control: string;
  /** Path below the repository's root. */
  readonly fileName: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** A file that `Release` vouches for; the path is relative to the suite. */
export interface ReleaseFile {
  readonly path: string;
  readonly content: string;
}

const AGENT_STOP_TIMEOUT_MS = 5_000;
const SIGNER = 'Slipway lab package repository';

/** Makes a signed Debian package repository; its private key exists only while this runs. */
export async function buildRepository(options: PackageRepositoryOptions): Promise<void> {
  const {archives, target, publicKeyFile, signal} = options;
  const pool = join(target, 'pool', 'main');
  await mkdir(pool, {recursive: true});
  const entries: PackageEntry[] = [];
  for (const archive of (await readdir(archives)).filter(name => name.endsWith('.deb')).sort()) {
    entries.push(await addToPool({archive: join(archives, archive), pool, signal}));
  }
  const architecture = (await machineCommand(['dpkg', '--print-architecture'], {signal})).trim();
  const index: ReleaseFile = {
    path: `main/binary-${architecture}/Packages`,
    content: formatPackages(entries),
  };
  const suite = join(target, 'dists', LAB_SUITE);
  await mkdir(join(suite, 'main', `binary-${architecture}`), {recursive: true});
  await writeFile(join(suite, index.path), index.content);
  const release = formatRelease({architecture, files: [index], date: new Date()});
  await writeFile(join(suite, 'Release'), release);
  const signed = await signClear(release, {publicKeyFile, signal});
  await writeFile(join(suite, 'InRelease'), signed);
}

/** The index that apt reads to learn what a repository has. */
export function formatPackages(entries: readonly PackageEntry[]): string {
  return entries
    .map(({control, fileName, sizeBytes, sha256}) =>
      [
        control.trimEnd(),
        `Filename: ${fileName}`,
        `Size: ${sizeBytes}`,
        `SHA256: ${sha256}`,
        '',
      ].join('\n'),
    )
    .join('\n');
}

/** The text that is signed: it holds the digest of every index. */
export function formatRelease(release: {
  readonly architecture: string;
  readonly files: readonly ReleaseFile[];
  readonly date: Date;
}): string {
  const {architecture, files, date} = release;
  return [
    'Origin: Slipway lab',
    'Label: Slipway lab',
    `Suite: ${LAB_SUITE}`,
    `Codename: ${LAB_SUITE}`,
    `Date: ${date.toUTCString().replace('GMT', 'UTC')}`,
    `Architectures: ${architecture}`,
    'Components: main',
    'SHA256:',
    ...files.map(
      ({path, content}) => ` ${sha256Hex(content)} ${Buffer.byteLength(content)} ${path}`,
    ),
    '',
  ].join('\n');
}

/**
 * The name of an archive in the pool. Downloads carry the epoch as `%3a`, which a URL would have to
 * escape again; pools leave the epoch out.
 */
export function poolFileName(control: string): string {
  const field = (name: string) => new RegExp(`^${name}: (.+)$`, 'm').exec(control)?.[1] ?? '';
  const version = field('Version').replace(/^\d+:/, '');
  return `${field('Package')}_${version}_${field('Architecture')}.deb`;
}

async function addToPool({
  archive,
  pool,
  signal,
}: {
  readonly archive: string;
  readonly pool: string;
  readonly signal: AbortSignal;
}): Promise<PackageEntry> {
  const control = await machineCommand(['dpkg-deb', '--field', archive], {signal});
  const content = await readFile(archive);
  const name = poolFileName(control);
  await copyFile(archive, join(pool, name));
  return {
    control,
    fileName: `pool/main/${name}`,
    sizeBytes: content.length,
    sha256: sha256Hex(content),
  };
}

async function signClear(
  text: string,
  {publicKeyFile, signal}: {readonly publicKeyFile: string; readonly signal: AbortSignal},
): Promise<string> {
  // gpg-agent's socket lies in its home, and a socket's path has to be short.
  const home = await mkdtemp(join(tmpdir(), 'slipway-gpg-'));
  const gpg = (...args: readonly string[]): readonly string[] => [
    ...['gpg', '--homedir', home, '--batch', '--quiet', '--pinentry-mode', 'loopback'],
    ...['--passphrase', '', ...args],
  ];
  try {
    await machineCommand(gpg('--quick-generate-key', SIGNER, 'ed25519', 'sign', 'never'), {signal});
    await machineCommand(gpg('--armor', '--output', publicKeyFile, '--export', SIGNER), {signal});
    return await machineCommand(gpg('--clearsign'), {signal, input: text});
  } finally {
    // Under a signal of its own: the agent has to go also when the caller gave up.
    await machineCommand(['gpgconf', '--homedir', home, '--kill', 'all'], {
      signal: AbortSignal.timeout(AGENT_STOP_TIMEOUT_MS),
    }).catch(() => undefined); // its folder is removed next, and an agent without one ends by itself
    await rm(home, {recursive: true, force: true});
  }
}
