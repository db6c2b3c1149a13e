import {sha256Hex} from '#shared/digest';
import type {SwapResource} from '../role/resource.ts';
import type {ResourceKind} from './kind.ts';

/** An entry of fstab(5) that is not a comment and whose third field is `swap`. */
const FSTAB_ENTRY =
  '^[[:space:]]*[^#[:space:]]+[[:space:]]+[^[:space:]]+[[:space:]]+swap([[:space:]]|$)';

export const swapKind: ResourceKind<SwapResource> = {
  digest: ({state}) => sha256Hex(state),

  diff(_swap, {probe}) {
    if (probe.swapDevices.length === 0) return undefined;
    return {id: 'swap:all', action: 'update', summary: `off: ${probe.swapDevices.join(', ')}`};
  },

  // fstab's lines are kept behind a mark, so that `remove` can give them back.
  apply: () =>
    [
      'swapoff -a',
      `[ ! -f /etc/fstab ] || sed -i -E '/${FSTAB_ENTRY}/s/^/#slipway# /' /etc/fstab`,
    ].join('\n'),

  remove: () =>
    `if grep -q '^#slipway# ' /etc/fstab 2>/dev/null; then sed -i 's/^#slipway# //' /etc/fstab; swapon -a || :; fi`,
};
