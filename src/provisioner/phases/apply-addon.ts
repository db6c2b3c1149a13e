import type {Addon} from '../addons/addon.ts';
import type {HostState} from '../host-state/host-state.ts';
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
  const as = (status: 'pending' | 'done') => (state: HostState) => ({
    ...state,
    actions: {...state.actions, [addonAction(addon.name)]: {...entry, status}},
  });
  await record.update(as('pending'), {signal});
  for (const object of addon.objects) await api.apply(object, {signal});
  await record.update(as('done'));
  return 1;
}
