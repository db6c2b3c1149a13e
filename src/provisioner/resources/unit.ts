import {sha256Hex} from '#shared/digest';
import type {UnitResource} from '../role/resource.ts';
import {quote} from '#shared/quote';
import type {DiffInput, ResourceKind} from './kind.ts';

export const unitKind: ResourceKind<UnitResource> = {
  digest: unit => sha256Hex(JSON.stringify([unit.enabled, unit.running, unit.restartOn])),

  diff(unit, input) {
    const id = `unit:${unit.name}`;
    const found = input.probe.units.get(unit.name);
    const deeds: string[] = [];
    if (unit.enabled && found?.enabled !== true) deeds.push('enable');
    if (unit.running === 'yes' && found?.active !== true) deeds.push('start');
    const restart = restartReason(unit, input);
    if (found?.active === true && restart !== undefined) deeds.push(`restart (${restart})`);
    if (deeds.length === 0) return undefined;
    const action = found?.active === true && restart !== undefined ? 'restart' : 'update';
    return {id, action, summary: deeds.join(', ')};
  },

  apply(unit, input) {
    const name = quote([unit.name]);
    const active = input.probe.units.get(unit.name)?.active === true;
    const lines = ['reload_units'];
    if (unit.enabled) lines.push(`systemctl -q enable ${name}`);
    if (active && restartReason(unit, input) !== undefined) lines.push(`systemctl restart ${name}`);
    else if (!active && unit.running === 'yes') lines.push(`systemctl start ${name}`);
    return lines.join('\n');
  },

  remove: name =>
    `systemctl -q disable --now ${quote([name])} 2>/dev/null || systemctl stop ${quote([name])} 2>/dev/null || :`,
};

/** Digest of everything whose change restarts the unit; recorded when it is started. */
export function startDigest(unit: UnitResource, digests: DiffInput['digests']): string {
  return sha256Hex(unit.restartOn.map(id => `${id} ${digests.get(id) ?? '-'}`).join('\n'));
}

function restartReason(unit: UnitResource, {changing, digests, state}: DiffInput) {
  const changed = unit.restartOn.find(id => changing.has(id));
  if (changed !== undefined) return `${changed} changes`;
  return state.startedWith[unit.name] === startDigest(unit, digests)
    ? undefined
    : 'it was started with something else';
}
