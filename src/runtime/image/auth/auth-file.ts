import {readFile} from 'node:fs/promises';
import {CodedError, isErrno, messageOf} from '#shared/errors';
import type {ImageReference} from '#shared/oci/reference';
import type {RegistryCredentials} from '#shared/oci/registry-login';
import {Secret} from '#shared/secret';
import {z} from 'zod';
import type {RuntimeErrorCode} from '../../errors.ts';
import {decodeAuth, DOCKER_HOSTS} from './request-auth.ts';

/** What `auth.json` says (containers-auth.json(5)): credentials by host, or host and path. */
export type AuthFile = ReadonlyMap<string, AuthEntry>;

interface AuthEntry {
  readonly auth?: string | undefined;
  readonly identitytoken?: string | undefined;
}

const FILE_BYTES_MAX = 1024 * 1024;
const fileSchema = z.object({
  auths: z
    .record(
      z.string(),
      z.object({auth: z.string().optional(), identitytoken: z.string().optional()}),
    )
    .default({}),
});

/**
 * Reads the file anew, so that changed credentials count at once. No file is an empty one.
 *
 * @throws CodedError ERR_AUTH_FILE_INVALID; its message has nothing of the content
 */
export async function readAuthFile(path: string): Promise<AuthFile> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return new Map();
    throw invalid(path, messageOf(error));
  }
  if (text.length > FILE_BYTES_MAX) throw invalid(path, `it has ${text.length} characters`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid(path, 'it is not JSON'); // the parser's message quotes the text
  }
  const parsed = fileSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(path, `"auths" is not as expected: ${String(issue?.code)}`);
  }
  return new Map(Object.entries(parsed.data.auths).map(([key, entry]) => [normalKey(key), entry]));
}

/**
 * The credentials with the longest key that the image's name starts with: `host/team/app` before
 * `host/team` before `host`.
 *
 * @throws CodedError ERR_AUTH_INVALID
 */
export function fileCredentials(
  file: AuthFile,
  {registry, repository}: ImageReference,
): RegistryCredentials | undefined {
  const parts = [registry, ...repository.split('/')];
  for (let count = parts.length; count > 0; count -= 1) {
    const entry = file.get(parts.slice(0, count).join('/'));
    if (entry?.identitytoken) return {identityToken: new Secret(entry.identitytoken)};
    if (entry?.auth) return decodeAuth(entry.auth);
  }
  return undefined;
}

/** `docker login` writes URLs for some registries, with its API's version behind. */
function normalKey(key: string): string {
  const bare = key.replace(/^https?:\/\//, '').replace(/\/+$/, '');
  const place = bare === key ? bare : bare.replace(/\/v[12]$/, '');
  return DOCKER_HOSTS.includes(place) ? 'docker.io' : place;
}

function invalid(path: string, reason: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_AUTH_FILE_INVALID', `cannot use ${path}: ${reason}`, {
    hint: 'mend the file, or write it again, e.g. with "podman login --authfile"',
  });
}
