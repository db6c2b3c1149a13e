import {existsSync} from 'node:fs';
import {mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {aptGet} from '#shared/apt';
import {unpackDebianPackages} from './debian-packages.ts';
import {hostProgram} from './host-path.ts';

/** OpenSSH's sshd, to be started in the foreground with a configuration of one's own. */
export interface SshdProgram {
  /** What goes before sshd's own arguments. */
  readonly argv: readonly string[];
  /** Lines for its configuration. */
  readonly settings: readonly string[];
}

const PACKAGE = 'openssh-server';
/** sshd does not start where this user is unknown. */
const USER = 'sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n';
/** Programs of its own since 9.8, which it would else look for where the package installs them. */
const PARTS = {SshdSessionPath: 'sshd-session', SshdAuthPath: 'sshd-auth'};

/**
 * The machine's own sshd, else that of its distribution's package, unpacked and not installed: no
 * service is started, no user made. A machine without sshd's user is shown a list with it, in a
 * mount namespace that ends with sshd.
 *
 * @param folder an empty place that outlives every sshd of it; the test removes it
 * @throws Error with apt's own words
 */
export async function sshdProgram(folder: string, signal: AbortSignal): Promise<SshdProgram> {
  await mkdir('/run/sshd', {recursive: true}); // privilege separation; systemd makes it elsewhere
  const knownUser = await withUser(join(folder, 'passwd'));
  const own = hostProgram('sshd');
  if (own !== undefined) return {argv: [...knownUser, own], settings: []};
  const root = join(folder, 'root');
  await unpackDebianPackages([PACKAGE, ...(await missingLibraries(signal))], {root, signal});
  const libraries = `LD_LIBRARY_PATH=${(await libraryFolders(root)).join(':')}`;
  const settings = Object.entries(PARTS).map(([key, name]) => [key, join(root, 'usr/lib/openssh', name)] as const); // prettier-ignore
  return {
    argv: [...knownUser, 'env', libraries, join(root, 'usr/sbin/sshd')],
    settings: settings.filter(([, path]) => existsSync(path)).map(line => line.join(' ')),
  };
}

async function withUser(file: string): Promise<readonly string[]> {
  const users = await readFile('/etc/passwd', 'utf8');
  if (/^sshd:/m.test(users)) return [];
  await writeFile(file, users + USER);
  const script = 'mount --bind "$0" /etc/passwd && exec "$@"';
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, file];
}

/** What apt would install beside it; only libraries matter to a program that is started by hand. */
async function missingLibraries(signal: AbortSignal): Promise<readonly string[]> {
  const argv = ['install', '--simulate', '--no-install-recommends', PACKAGE];
  const {isDone, stdout, said} = await aptGet(argv, {signal});
  if (!isDone) throw new Error(`apt-get install --simulate ${PACKAGE}: ${said}`);
  return [...stdout.matchAll(/^Inst (lib\S+)/gm)].map(([, name = '']) => name);
}

async function libraryFolders(root: string): Promise<readonly string[]> {
  const folders = await Promise.all(
    ['usr/lib', 'lib'].map(async name => {
      const found = await readdir(join(root, name)).catch(() => []); // no package has it
      return found.map(triplet => join(root, name, triplet));
    }),
  );
  return folders.flat();
}
