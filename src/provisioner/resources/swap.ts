import {sha256Hex} from '#shared/digest';
import {quote} from '#shared/quote';
import type {RecordedResource} from '../host-state/host-state.ts';
import type {SwapResource} from '../role/resource.ts';
import type {DiffInput, ResourceKind} from './kind.ts';

/** An entry of fstab(5) that is not a comment and whose third field is `swap`. */
const FSTAB_ENTRY =
  '^[[:space:]]*[^#[:space:]]+[[:space:]]+[^[:space:]]+[[:space:]]+swap([[:space:]]|$)';

export const swapKind: ResourceKind<SwapResource> = {
  digest: ({state}) => sha256Hex(state),

  diff(_swap, {probe}) {
    const found = [...probe.swapDevices, ...probe.swapUnits.keys()];
    if (found.length === 0) return undefined;
    return {id: 'swap:all', action: 'update', summary: `off: ${found.join(', ')}`};
  },

  record: (_swap, input) => {
    const units = unitsBefore(input);
    if (units.size === 0) return {};
    return {previous: [...units].map(([name, state]) => `${name} ${state}`).join('\n')};
  },

  // fstab's lines are kept behind a mark, so that `remove` can give them back.
  apply: (_swap, {probe}) =>
    [
      ...[...probe.swapUnits].map(([name, state]) => `systemctl -q ${offVerb(state)} --now ${quote([name])}`), // prettier-ignore
      'swapoff -a',
      `[ ! -f /etc/fstab ] || sed -i -E '/${FSTAB_ENTRY}/s/^/#slipway# /' /etc/fstab`,
    ].join('\n'),

  remove: (_name, recorded) =>
    [
      `if grep -q '^#slipway# ' /etc/fstab 2>/dev/null; then sed -i 's/^#slipway# //' /etc/fstab; swapon -a || :; fi`,
      ...[...parseUnits(recorded)].flatMap(([name, state]) => {
        const unit = quote([name]);
        const back = `systemctl -q ${offVerb(state) === 'mask' ? 'unmask' : 'enable'} ${unit} || :`;
        // What nothing pulls in by itself may not have run before us.
        const isStarted = state === 'enabled' || state === 'generated';
        return isStarted ? [back, `systemctl --no-block start ${unit} || :`] : [back];
      }),
    ].join('\n'),
};

/** A file under /etc/systemd/system, where administrators write theirs, cannot be masked. */
const offVerb = (state: string): 'disable' | 'mask' => (state === 'enabled' ? 'disable' : 'mask');

/** Units that were on before us, with their states: an earlier record knows best. */
function unitsBefore({probe, state}: DiffInput): ReadonlyMap<string, string> {
  return new Map([...probe.swapUnits, ...parseUnits(state.resources['swap:all'])]);
}

function parseUnits(recorded: RecordedResource | undefined): ReadonlyMap<string, string> {
  const lines = (recorded?.previous ?? '').split('\n').filter(line => line !== '');
  return new Map(
    lines.map(line => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}
