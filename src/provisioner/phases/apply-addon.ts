import type {Addon} from '../addons/addon.ts';
import {addonAction} from '../plan/action-plan.ts';
import {recordedAction} from './record-action.ts';
import type {ClusterSession} from './session.ts';

/** Applies the manifests of an add-on and records their digest on the first control plane. */
export async function applyAddon(
  session: ClusterSession,
  addon: Addon,
  {signal}: {readonly signal: AbortSignal},
): Promise<number> {
  const api = await session.api({signal});
  await recordedAction(
    session.first.record,
    {action: addonAction(addon.name), entry: {digest: addon.digest}},
    {
      signal,
      perform: async () => {
        for (const object of addon.objects) await api.apply(object, {signal});
      },
    },
  );
  return 1;
}
