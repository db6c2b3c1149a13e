import {readdir, stat, lstat} from 'node:fs/promises';
import type {BigIntStats} from 'node:fs';
import {join} from 'node:path';
import {CodedError, isErrno} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {PreparedDevice} from '../spec/input.ts';
import type {OciDevice} from '../spec/oci-spec.ts';

/** A CRI Device. */
export interface RequestedDevice {
  readonly containerPath: string;
  readonly hostPath: string;
  readonly permissions: string;
}

/** Below /dev but not devices of the host: what every container gets anew. */
const SKIPPED = new Set(['pts', 'shm', 'fd', 'mqueue', 'console', 'ptmx']);

/** A machine has a few hundred; more is a folder that should not be walked. */
const DEVICE_COUNT_MAX = 10_000;
const DEPTH_MAX = 8;

/** Every device node below `/dev`, for a privileged container. */
export async function hostDevices(root = '/dev'): Promise<readonly OciDevice[]> {
  const names = (await readdir(root)).filter(name => !SKIPPED.has(name) && !name.startsWith('.'));
  const found: OciDevice[] = [];
  for (const name of names) await collect(join(root, name), found, 0);
  return found;
}

/**
 * The device nodes that a CRI request names; a folder stands for every device in it, as with
 * `docker run --device`.
 * @throws CodedError ERR_REQUEST_INVALID for a path that is missing or no device.
 */
export async function preparedDevices(
  requested: readonly RequestedDevice[],
): Promise<readonly PreparedDevice[]> {
  const prepared: PreparedDevice[] = [];
  for (const {containerPath, hostPath, permissions} of requested) {
    const target = containerPath === '' ? hostPath : containerPath;
    const access = permissions === '' ? 'rwm' : permissions;
    for (const device of await devicesAt(hostPath)) {
      const path = `${target}${device.path.slice(hostPath.length)}`;
      prepared.push({...device, path, permissions: access});
    }
  }
  return prepared;
}

/** With the host's path in `path`; a link counts as what it leads to. */
async function devicesAt(hostPath: string): Promise<readonly OciDevice[]> {
  let found: BigIntStats;
  try {
    found = await stat(hostPath, {bigint: true});
  } catch (cause) {
    throw notDevice(hostPath, isErrno(cause, 'ENOENT') ? 'is missing' : 'cannot be read', cause);
  }
  const device = toDevice(hostPath, found);
  if (device !== undefined) return [device];
  if (!found.isDirectory()) throw notDevice(hostPath, 'is neither a device nor a folder');
  const below: OciDevice[] = [];
  await collect(hostPath, below, 0);
  return below;
}

async function collect(path: string, found: OciDevice[], depth: number): Promise<void> {
  const entry = await lstat(path, {bigint: true}).catch(gone);
  if (entry === undefined || depth > DEPTH_MAX || found.length >= DEVICE_COUNT_MAX) return;
  const device = toDevice(path, entry);
  if (device !== undefined) found.push(device);
  if (!entry.isDirectory()) return;
  for (const name of await readdir(path)) await collect(join(path, name), found, depth + 1);
}

/** makedev(3) undone: 12 + 20 bits and 8 + 24 bits, interleaved. */
function toDevice(path: string, found: BigIntStats): OciDevice | undefined {
  if (!found.isCharacterDevice() && !found.isBlockDevice()) return undefined;
  const {rdev} = found;
  return {
    path,
    type: found.isBlockDevice() ? 'b' : 'c',
    major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn)),
    minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
    fileMode: Number(found.mode & 0o7777n),
    uid: Number(found.uid),
    gid: Number(found.gid),
  };
}

/** Devices come and go while their folder is read. */
function gone(error: unknown): undefined {
  if (isErrno(error, 'ENOENT')) return undefined;
  throw error;
}

function notDevice(path: string, what: string, cause?: unknown): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_REQUEST_INVALID', `device ${JSON.stringify(path)} ${what}`, {
    hint: 'name a device node of the host, or a folder of them',
    cause,
  });
}
