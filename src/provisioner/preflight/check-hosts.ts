import {CodedError} from '#shared/errors';
import type {ProvisionerErrorCode} from '../errors.ts';
import {checkHost} from './check-host.ts';
import type {PreflightInput} from './finding.ts';

/** Certificates and leases suffer beyond this; kubeadm itself does not look. */
const CLOCK_SKEW_SECONDS_MAX = 30;

export interface ClockReading {
  /** Seconds since 1970 here, halfway between asking and hearing. */
  readonly operatorSeconds: number;
}

/** All problems of all hosts: those of each one, and those that only a comparison shows. */
export function checkHosts(
  inputs: readonly (PreflightInput & ClockReading)[],
): readonly CodedError<ProvisionerErrorCode>[] {
  return [...inputs.flatMap(checkHost), ...checkDuplicates(inputs), ...inputs.flatMap(checkClock)];
}

function checkDuplicates(inputs: readonly PreflightInput[]) {
  const problems: CodedError<ProvisionerErrorCode>[] = [];
  const seen = new Map<string, string>();
  for (const {cluster, host, facts} of inputs) {
    const first = seen.get(facts.machineId);
    if (first !== undefined && !cluster.preflight.ignore.includes('MachineID')) {
      const message = `${host.name}: [MachineID] has the machine-id of ${first}: the same machine twice, or a clone`;
      const hint = `on a clone: rm /etc/machine-id && systemd-machine-id-setup, then reboot ${host.name}`;
      problems.push(new CodedError('ERR_PREFLIGHT_DUPLICATE_MACHINE', message, {hint}));
    }
    seen.set(facts.machineId, host.name);
  }
  return problems;
}

function checkClock({cluster, host, facts, operatorSeconds}: PreflightInput & ClockReading) {
  const skew = Math.round(facts.clockSeconds - operatorSeconds);
  if (Math.abs(skew) <= CLOCK_SKEW_SECONDS_MAX) return [];
  if (cluster.preflight.ignore.includes('Clock')) return [];
  return [
    new CodedError<ProvisionerErrorCode>(
      'ERR_PREFLIGHT_CLOCK',
      `${host.name}: [Clock] is ${Math.abs(skew)} s ${skew > 0 ? 'ahead of' : 'behind'} this machine`,
      {hint: `start a time service on ${host.name} (e.g. systemd-timesyncd) and here`},
    ),
  ];
}
