import {createHash} from 'node:crypto';
import {type BigIntStats, lstatSync, readdirSync, readFileSync, readlinkSync} from 'node:fs';
import {join} from 'node:path';
import {lgetxattr, llistxattr} from '#runtime/sys/files';

/**
 * Everything that can be told of a tree, one line per entry: type, mode, owner, time in ns, size
 * and content, link target, device, extended attributes, and which names are one file.
 *
 * @param root a path; names in it may be any bytes
 */
export function listTree(root: string): readonly string[] {
  const firstNames = new Map<bigint, string>();
  const lines: string[] = [];
  const visit = (path: string): void => {
    const full = Buffer.concat([Buffer.from(root), Buffer.from(path, 'latin1')]);
    const stats = lstatSync(full, {bigint: true});
    lines.push(`${path === '' ? '/' : path} ${describe(full, stats, firstNames, path)}`);
    if (!stats.isDirectory()) return;
    for (const name of readdirSync(full, 'latin1').toSorted()) visit(`${path}/${name}`);
  };
  visit('');
  return lines;
}

/** All paths under a folder, directories with a slash; Node's own recursion follows links. */
export function namesIn(root: string, inside = ''): readonly string[] {
  const entries = readdirSync(join(root, inside), {withFileTypes: true});
  return entries
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .flatMap(entry => {
      const path = join(inside, entry.name);
      return entry.isDirectory() ? [`${path}/`, ...namesIn(root, path)] : [path];
    });
}

/** Lines that only one of two listings has. */
export function differences(ours: readonly string[], theirs: readonly string[]): readonly string[] {
  const [mine, others] = [new Set(ours), new Set(theirs)];
  return [
    ...ours.filter(line => !others.has(line)).map(line => `ours: ${line}`),
    ...theirs.filter(line => !mine.has(line)).map(line => `theirs: ${line}`),
  ];
}

function describe(
  full: Buffer,
  stats: BigIntStats,
  firstNames: Map<bigint, string>,
  path: string,
): string {
  const {mode, uid, gid, mtimeNs, nlink, ino, rdev} = stats;
  const isShared = !stats.isDirectory() && nlink > 1n;
  const first = firstNames.get(ino) ?? path;
  if (isShared) firstNames.set(ino, first);
  const attributes = llistxattr(full)
    .toSorted()
    .map(name => `${name}=${lgetxattr(full, name)?.toString('hex') ?? ''}`);
  return [
    mode.toString(8),
    `${uid}:${gid}`,
    stats.isDirectory() ? '' : mtimeNs,
    stats.isDirectory() ? `d${mtimeNs}` : '',
    stats.isFile() ? createHash('sha256').update(readFileSync(full)).digest('hex') : '',
    stats.isSymbolicLink() ? readlinkSync(full, 'latin1') : '',
    stats.isCharacterDevice() || stats.isBlockDevice() ? `rdev${rdev}` : '',
    isShared ? `same as ${first} ${nlink}` : '',
    ...attributes,
  ].join(' ');
}
