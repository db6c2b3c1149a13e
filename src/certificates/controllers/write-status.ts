import {ApiRefusedError} from '#shared/kube/errors';
import type {KubernetesObject} from '#shared/kube/object';
import type {ApiClient} from '../kube/client.ts';
import type {ResourceType} from '../kube/resource.ts';
import type {View} from '../kube/view.ts';
import {itemOf, type Item} from './views.ts';

/** Where a kind is written, and where what was written is seen again. */
export interface StatusTarget<O extends KubernetesObject> {
  readonly client: Pick<ApiClient, 'updateStatus'>;
  readonly resource: ResourceType<O>;
  readonly view: View<Item<O>>;
  readonly signal: AbortSignal;
}

/**
 * Writes the status of an object and puts the answer into the view at once.
 *
 * @returns what the API server made of it; undefined when the object is gone, which ends the work
 * @throws CodedError what the client throws; ERR_API_REFUSED with status 409 when it had changed
 */
export async function writeStatus<O extends KubernetesObject>(
  object: O,
  {client, resource, view, signal}: StatusTarget<O>,
): Promise<O | undefined> {
  try {
    const written = await client.updateStatus(resource, object, {signal});
    view.observe(itemOf(written));
    return written;
  } catch (error) {
    const isGone = error instanceof ApiRefusedError && error.status === 404;
    if (isGone && error.reason === 'NotFound') return undefined;
    throw error;
  }
}
