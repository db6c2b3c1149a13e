import {readFile, stat} from 'node:fs/promises';
import {isAbsolute} from 'node:path';
import {isErrno} from '#shared/errors';
import {
  SecurityProfile_ProfileType,
  type LinuxContainerSecurityContext,
} from '../cri/gen/cri-v1_pb.ts';
import {invalidRequest} from './invalid.ts';

/** The longest real profiles have some 100 kB. */
const PROFILE_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Reads the profile that a Localhost reference names; undefined for other kinds.
 *
 * @throws CodedError `ERR_REQUEST_INVALID` when it is missing, too long or no JSON
 */
export async function localhostSeccomp(
  context: LinuxContainerSecurityContext | undefined,
): Promise<unknown> {
  const {seccomp} = context ?? {};
  if (context?.privileged || seccomp?.profileType !== SecurityProfile_ProfileType.Localhost) {
    return undefined;
  }
  const path = seccomp.localhostRef;
  if (!isAbsolute(path)) {
    throw invalidRequest(`seccomp profile ${JSON.stringify(path)} is no absolute path`, HINT);
  }
  try {
    const {size} = await stat(path);
    if (size > PROFILE_BYTES_MAX) throw invalidRequest(`${path} has ${size} bytes`, HINT);
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) throw invalidRequest(`no seccomp profile ${path}`, HINT);
    if (error instanceof SyntaxError) throw invalidRequest(`${path}: ${error.message}`, HINT);
    throw error;
  }
}

const HINT = "put the profile, as JSON, below the kubelet's seccomp folder on every node";
