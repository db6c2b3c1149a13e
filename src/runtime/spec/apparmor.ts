import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {HostAbilities, SecurityProfile} from './input.ts';

const RUNTIME_DEFAULT = 0;
const UNCONFINED = 1;

/**
 * The AppArmor profile of a process; undefined leaves the label alone. Without AppArmor a
 * RuntimeDefault is nothing (pods are the same on all machines) and a named profile is refused;
 * with AppArmor but without a default profile, RuntimeDefault is nothing too, and said.
 * @throws CodedError ERR_REQUEST_INVALID for a named profile on a machine without AppArmor.
 */
export function containerApparmor(request: {
  readonly profile: SecurityProfile | undefined;
  readonly privileged: boolean;
  readonly host: Pick<HostAbilities, 'apparmor' | 'apparmorDefaultProfile'>;
}): {readonly profile?: string; readonly notices: readonly string[]} {
  const {profile, privileged, host} = request;
  const type = profile?.profileType ?? (privileged ? UNCONFINED : RUNTIME_DEFAULT);
  if (type === UNCONFINED) return {...(host.apparmor ? {profile: 'unconfined'} : {}), notices: []};
  if (type === RUNTIME_DEFAULT) return runtimeDefault(host);
  const name = profile?.localhostRef ?? '';
  if (host.apparmor && name !== '') return {profile: name, notices: []};
  throw new CodedError<RuntimeErrorCode>(
    'ERR_REQUEST_INVALID',
    `AppArmor profile ${JSON.stringify(name)} was asked for, ${host.apparmor ? 'without a name' : 'and the machine has no AppArmor'}`,
    {hint: 'name a profile that is loaded on the node, or remove appArmorProfile from the pod'},
  );
}

function runtimeDefault({
  apparmor,
  apparmorDefaultProfile: profile,
}: Pick<HostAbilities, 'apparmor' | 'apparmorDefaultProfile'>): {
  readonly profile?: string;
  readonly notices: readonly string[];
} {
  if (!apparmor) return {notices: []};
  return profile === undefined
    ? {notices: ['containers run without an AppArmor profile: no default one is loaded']}
    : {profile, notices: []};
}
