import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {HostAbilities, SecurityProfile} from './input.ts';

const RUNTIME_DEFAULT = 0;
const UNCONFINED = 1;

/**
 * The AppArmor profile of a process; undefined leaves the label alone. Without AppArmor a
 * RuntimeDefault is nothing (pods are the same on all machines) and a named profile is refused.
 * @throws CodedError ERR_REQUEST_INVALID for a named profile on a machine without AppArmor.
 */
export function containerApparmor(request: {
  readonly profile: SecurityProfile | undefined;
  readonly privileged: boolean;
  readonly host: Pick<HostAbilities, 'apparmor' | 'apparmorDefaultProfile'>;
}): string | undefined {
  const {profile, privileged, host} = request;
  const type = profile?.profileType ?? (privileged ? UNCONFINED : RUNTIME_DEFAULT);
  if (type === UNCONFINED) return host.apparmor ? 'unconfined' : undefined;
  if (type === RUNTIME_DEFAULT) return host.apparmor ? host.apparmorDefaultProfile : undefined;
  const name = profile?.localhostRef ?? '';
  if (host.apparmor && name !== '') return name;
  throw new CodedError<RuntimeErrorCode>(
    'ERR_REQUEST_INVALID',
    `AppArmor profile ${JSON.stringify(name)} was asked for, ${host.apparmor ? 'without a name' : 'and the machine has no AppArmor'}`,
    {hint: 'name a profile that is loaded on the node, or remove appArmorProfile from the pod'},
  );
}
