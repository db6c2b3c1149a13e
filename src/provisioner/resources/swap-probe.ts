/** Services that swap without a .swap unit: of zram-tools, zram-config, dphys-swapfile, swapspace. */
const SWAP_SERVICES = [
  'zramswap.service',
  'zram-config.service',
  'dphys-swapfile.service',
  'swapspace.service',
];

const UNIT_DIRECTORY = '/etc/systemd/system';

/** States of systemctl(1) `is-enabled` in which nothing starts a unit at boot. */
const OFF_STATES = ['alias', 'disabled', 'enabled-runtime', 'masked', 'transient'];

/** sh that prints what is swapped to now, what fstab would swap to, and units that would. */
export const SWAP_PROBE = [
  `{ tail -n +2 /proc/swaps; awk '$1 !~ /^#/ && $3 == "swap"' /etc/fstab 2>/dev/null; } | while read -r d _; do printf 'swap\\t%s\\n' "$d"; done`,
  // Of generators (zram-generator, gpt-auto-generator) and of administrators. A file that is theirs
  // and not enabled does nothing by itself, and cannot be masked.
  `systemctl list-unit-files --full --plain --no-legend '*.swap' ${SWAP_SERVICES.join(' ')} 2>/dev/null | while read -r u s _; do case $s in ${OFF_STATES.join('|')}) ;; *) [ "$s" != enabled ] && [ -e "${UNIT_DIRECTORY}/$u" ] || printf 'swap-unit\\t%s\\t%s\\n' "$u" "$s" ;; esac; done`,
].join('\n');
