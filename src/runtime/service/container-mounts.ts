import {mkdir, readFile, realpath} from 'node:fs/promises';
import {isAbsolute} from 'node:path';
import {CodedError, isErrno} from '#shared/errors';
import type {Mount} from '../cri/gen/cri-v1_pb.ts';
import type {RuntimeErrorCode} from '../errors.ts';
import type {ContainerMount} from '../store/container.ts';
import type {PreparedMount} from '../spec/input.ts';
import {propagationProblem} from '../spec/mounts.ts';
import {invalidRequest} from './invalid.ts';

/** A pod has a few dozen mounts; a request with more than this is a mistake or an attack. */
const MOUNTS_MAX = 4_096;

/**
 * Turns the mounts of a request into what can be bound: symbolic links of the host resolved,
 * missing sources made as folders (0755, as every runtime does), propagation checked.
 *
 * @throws CodedError `ERR_REQUEST_INVALID`
 */
export async function prepareMounts(mounts: readonly Mount[]): Promise<readonly PreparedMount[]> {
  if (mounts.length > MOUNTS_MAX) {
    throw invalidRequest(`${mounts.length} mounts`, `use ${MOUNTS_MAX} at most`);
  }
  const prepared = await Promise.all(mounts.map(prepareMount));
  if (prepared.some(({propagation}) => propagation !== 0)) {
    const mountinfo = await readFile('/proc/self/mountinfo', 'utf8');
    for (const mount of prepared) {
      const problem = propagationProblem(mountinfo, mount);
      if (problem !== undefined) {
        throw invalidRequest(
          `mount ${mount.containerPath} with propagation: ${problem}`,
          'make the mount shared on the host: mount --make-rshared',
        );
      }
    }
  }
  return prepared;
}

/** What ContainerStatus gives back: as asked, not as resolved. */
export function statusMounts(mounts: readonly Mount[]): readonly ContainerMount[] {
  return mounts.map(mount => ({
    containerPath: mount.containerPath,
    hostPath: mount.hostPath,
    readonly: mount.readonly,
    recursiveReadOnly: mount.recursiveReadOnly,
    selinuxRelabel: mount.selinuxRelabel,
    propagation: mount.propagation,
  }));
}

async function prepareMount(mount: Mount): Promise<PreparedMount> {
  const {containerPath, hostPath, readonly, recursiveReadOnly, propagation} = mount;
  if (containerPath === '') throw invalidRequest('a mount without container_path', 'name one');
  if (mount.image && mount.image.image !== '') {
    throw invalidRequest(
      `ImageVolumeMountFailed: mount ${containerPath} is an image, which this runtime does not mount`,
      'copy the files in an init container instead',
    );
  }
  if (mount.uidMappings.length > 0 || mount.gidMappings.length > 0) {
    throw invalidRequest(
      `mount ${containerPath} maps ids, and this runtime offers no user namespaces`,
      'leave hostUsers out of the pod, or set it to true',
    );
  }
  if (mount.mountOptions.length > 0) {
    // Never ignored: `noexec` that has no effect is worse than a pod that does not start.
    throw new CodedError<RuntimeErrorCode>(
      'ERR_NOT_IMPLEMENTED',
      `mount ${containerPath} asks for options: ${mount.mountOptions.join(', ')}`,
      {hint: 'leave mountOptions out; Status says that this runtime does not know them'},
    );
  }
  if (!isAbsolute(hostPath)) {
    throw invalidRequest(
      `mount ${containerPath}: host path ${JSON.stringify(hostPath)} is not absolute`,
      'give an absolute path',
    );
  }
  return {
    containerPath: containerPath.startsWith('/') ? containerPath : `/${containerPath}`,
    hostPath: await existingPath(hostPath),
    readonly,
    recursiveReadOnly,
    propagation,
  };
}

async function existingPath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
  try {
    await mkdir(path, {recursive: true, mode: 0o755});
    return await realpath(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT') && !isErrno(error, 'EEXIST') && !isErrno(error, 'ENOTDIR')) {
      throw error;
    }
    throw invalidRequest(
      `host path ${path} does not exist and cannot be made: it is a link to nothing, or below a file`,
      'correct the volume, or make its source on the node',
    );
  }
}
