import {CodedError} from '#shared/errors';
import type {RegistryCredentials} from '#shared/oci/registry-login';
import {Secret} from '#shared/secret';
import type {RuntimeErrorCode} from '../../errors.ts';

/** Credentials as a CRI request has them (CRI v1 AuthConfig); empty strings mean absent. */
export interface RequestAuth {
  readonly username?: string;
  readonly password?: string;
  /** Base 64 of `username:password`. */
  readonly auth?: string;
  /** Host that the credentials are for; a URL too. Empty: for whatever registry is asked. */
  readonly serverAddress?: string;
  readonly identityToken?: string;
  readonly registryToken?: string;
}

/**
 * The credentials of a request for a registry; undefined where it has none for that host.
 *
 * @throws CodedError ERR_AUTH_INVALID; its message has nothing of the credentials
 */
export function requestCredentials(
  request: RequestAuth | undefined,
  registry: string,
): RegistryCredentials | undefined {
  if (request === undefined || !isFor(registry, request.serverAddress)) return undefined;
  const {username = '', password = '', auth = ''} = request;
  const {identityToken = '', registryToken = ''} = request;
  if (registryToken !== '') return {registryToken: new Secret(registryToken)};
  if (identityToken !== '') return {identityToken: new Secret(identityToken)};
  if (username !== '') return {username, password: new Secret(password)};
  return auth === '' ? undefined : decodeAuth(auth);
}

/**
 * Reads base 64 of `username:password` as Docker writes it.
 *
 * @throws CodedError ERR_AUTH_INVALID
 */
export function decodeAuth(auth: string): RegistryCredentials {
  const isBase64 = /^[A-Za-z0-9+/_-]+={0,2}\s*$/.test(auth);
  // Docker pads with NUL bytes.
  const text = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = text.indexOf(':');
  if (isBase64 && colon > 0) {
    return {username: text.slice(0, colon), password: new Secret(text.slice(colon + 1))};
  }
  throw new CodedError<RuntimeErrorCode>(
    'ERR_AUTH_INVALID',
    'the credentials are not the base 64 of username:password',
    {hint: 'make the secret again, e.g. with "kubectl create secret docker-registry"'},
  );
}

function isFor(registry: string, serverAddress = ''): boolean {
  if (serverAddress === '') return true;
  const url = serverAddress.includes('://') ? serverAddress : `https://${serverAddress}`;
  const host = URL.canParse(url) ? new URL(url).host : serverAddress;
  return host === registry || (registry === 'docker.io' && DOCKER_HOSTS.includes(host));
}

/** Names under which Docker's tools keep credentials of docker.io. */
export const DOCKER_HOSTS: readonly string[] = ['index.docker.io', 'registry-1.docker.io'];
