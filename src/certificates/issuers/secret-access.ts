import {ApiRefusedError} from '#shared/kube/errors';
import type {SecretObject} from '../apis/resources.ts';
import type {SecretReader} from '../controllers/secret-reader.ts';
import type {ObjectName} from '../kube/resource.ts';

/** What reading a Secret for an issuer came to. */
export type SecretAccess =
  | {readonly kind: 'found'; readonly secret: SecretObject}
  | {readonly kind: 'missing'}
  /** The controller has no right to it; a grant is not seen coming, so it is to be tried again. */
  | {readonly kind: 'forbidden'; readonly message: string};

/** How soon a refused read is tried again. */
export const FORBIDDEN_RETRY_MS = 60_000;

/** `Secret namespace/name`, for messages. */
export function secretTitle({namespace = '', name}: ObjectName): string {
  return `Secret ${namespace}/${name}`;
}

/**
 * Reads a Secret with its values.
 *
 * @throws CodedError what the API client throws for any other refusal: the queue tries again
 */
export async function accessSecret(
  secrets: SecretReader,
  name: ObjectName,
  {signal}: {readonly signal: AbortSignal},
): Promise<SecretAccess> {
  try {
    const secret = await secrets.read(name, {signal});
    return secret === undefined ? {kind: 'missing'} : {kind: 'found', secret};
  } catch (error) {
    if (!(error instanceof ApiRefusedError) || error.status !== 403) throw error;
    return {
      kind: 'forbidden',
      message: `the controller may not read ${secretTitle(name)}; grant its ServiceAccount the verb "get" on secrets in namespace ${name.namespace ?? ''}`,
    };
  }
}
