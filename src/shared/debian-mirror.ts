import {readFile} from 'node:fs/promises';
import {aptGet} from './apt.ts';

/** One of apt's sources, as `apt-get indextargets` prints it. */
interface Source {
  /** Of the fetched list; `$(ORIGIN)` as it stands, or nothing, before it was fetched. */
  readonly origin: string;
  /** The suite, e.g. `bookworm-updates`. */
  readonly release: string;
  readonly address: string;
}

const LIST = ['--format', '$(ORIGIN)|$(RELEASE)|$(REPO_URI)', 'Created-By: Packages'];
/** Archives of Debian that have other packages than the main one. */
const SIDE_RELEASE = /-(security|debug)$/;

/**
 * The Debian archive that this machine's apt uses itself, which its network and its owner allow;
 * undefined where apt has none.
 */
export async function machineDebianMirror(signal: AbortSignal): Promise<string | undefined> {
  const fetched = await aptGet(['indextargets', ...LIST], {signal});
  const known = await debianMirror(fetched.stdout);
  if (known !== undefined) return known;
  // A source whose lists were not fetched has no release information, and is left out without this.
  const all = await aptGet(['indextargets', '--no-release-info', ...LIST], {signal});
  return await debianMirror(all.stdout);
}

/**
 * The Debian archive among apt's sources: by its origin; before the lists were fetched, by its
 * address. A file with mirrors (apt-transport-mirror(1)), which official cloud images have, stands
 * for the first of them.
 *
 * @param targets one source a line: origin, suite and address, divided by `|`
 */
export async function debianMirror(targets: string): Promise<string | undefined> {
  const lines = targets.split('\n').filter(line => line.trim() !== '');
  const sources = (await Promise.all(lines.map(parseSource))).filter(isMainArchive);
  const known = sources.find(({origin}) => origin === 'Debian');
  if (known !== undefined) return known.address;
  const unknown = sources.filter(({origin}) => origin === '' || origin.startsWith('$('));
  // Vendors have packages of their own for Debian, below longer paths (linux/debian).
  const whole = unknown.find(({address}) => /^https?:\/\/[^/]+\/debian\/?$/.test(address));
  return (whole ?? unknown.find(({address}) => /\/debian\/?$/.test(address)))?.address;
}

function isMainArchive({release, address}: Source): boolean {
  return address !== '' && !SIDE_RELEASE.test(release);
}

async function parseSource(line: string): Promise<Source> {
  const [origin = '', release = '', uri = ''] = line.trim().split('|');
  return {origin, release, address: await httpAddress(uri)};
}

/** mmdebstrap takes http and https; of a file with mirrors, the first that is one. Empty: neither. */
async function httpAddress(uri: string): Promise<string> {
  if (/^https?:/.test(uri)) return uri;
  const file = /^mirror\+file:(?:\/\/)?(\/.*?)\/?$/.exec(uri)?.[1]; // apt adds a slash
  if (file === undefined) return '';
  const text = await readFile(file, 'utf8').catch(() => ''); // apt update says so itself
  const words = text.split('\n').map(line => line.trim().split(/\s/)[0] ?? '');
  return words.find(word => /^https?:/.test(word)) ?? '';
}
