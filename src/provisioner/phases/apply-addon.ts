import type {Addon} from '../addons/addon.ts';
import {addonAction} from '../plan/action-plan.ts';
import type {ClusterSession} from './session.ts';

/** Applies the manifests of an add-on and records their digest on the first control plane. */
export async function applyAddon(
  session: ClusterSession,
  addon: Addon,
  {signal}: {readonly signal: AbortSignal},
): Promise<number> {
  const api = await session.api({signal});
  const entry = {digest: addon.digest};
  const {record} = session.first;
  const set = (status: 'pending' | 'done') =>
    record.update(
      state => ({
        ...state,
        actions: {...state.actions, [addonAction(addon.name)]: {...entry, status}},
      }),
      {signal},
    );
  await set('pending');
  for (const object of addon.objects) await api.apply(object, {signal});
  await set('done');
  return 1;
}
