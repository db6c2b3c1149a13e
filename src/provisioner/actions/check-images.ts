import {CodedError} from '#shared/errors';
import type {ProvisionerErrorCode} from '../errors.ts';
import {throwProblems} from '../problems-error.ts';
import type {Cluster} from '../role/cluster.ts';
import type {Artifacts} from './environment.ts';

/**
 * Asks the site's registry for every image that hosts are about to pull (a missing one costs kubeadm
 * minutes of retries), and compares it with the lock file, which learns those that it does not name.
 * Without a registry there is nothing to ask: images are sent, and their digests are our own.
 *
 * @returns the digest that hosts have to find under each reference
 * @throws CodedError ERR_IMAGE_MISSING, ERR_IMAGE_DIGEST_MISMATCH, naming all of them
 */
export async function checkImages(
  {registryUrl}: Pick<Cluster, 'registryUrl'>,
  artifacts: Pick<Artifacts, 'findImages' | 'lockedDigests' | 'lockImages'>,
  needed: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (registryUrl === undefined || needed.length === 0) return new Map();
  const found = await artifacts.findImages(needed);
  const missing = needed.filter(reference => !found.has(reference));
  const isLocked = (reference: string) => artifacts.lockedDigests(reference).length > 0;
  const other = [...found].filter(
    ([reference, digest]) =>
      isLocked(reference) && !artifacts.lockedDigests(reference).includes(digest),
  );
  throwProblems([...missingError(registryUrl, missing), ...mismatchError(registryUrl, other)]);
  await artifacts.lockImages(new Map([...found].filter(([reference]) => !isLocked(reference))));
  return found;
}

function missingError(registryUrl: string, missing: readonly string[]) {
  if (missing.length === 0) return [];
  const hint = `run "provision images push --registry ${registryUrl}", then try again`;
  const message = `${registryUrl} does not have ${missing.join(', ')}`;
  return [new CodedError<ProvisionerErrorCode>('ERR_IMAGE_MISSING', message, {hint})];
}

function mismatchError(registryUrl: string, other: readonly (readonly [string, string])[]) {
  if (other.length === 0) return [];
  const list = other.map(([reference, digest]) => `${reference} (${digest})`).join(', ');
  return [
    new CodedError<ProvisionerErrorCode>(
      'ERR_IMAGE_DIGEST_MISMATCH',
      `${registryUrl} has other images than cluster.lock.yaml names: ${list}`,
      {
        hint: `push the locked ones again, or take their entries out of cluster.lock.yaml to accept what the registry has`,
      },
    ),
  ];
}
