/** Names of what the lab makes on the machine; host/*.sh use the same ones. */
export const labNames = {
  /** Control group below every hierarchy; all processes of the lab live in it. */
  cgroup: 'slipway-lab',
  /** Network namespace that holds only the switch: the machine's firewall never sees its frames. */
  switchNetns: 'slipway-net',
  /** The switch inside that namespace, and the machine's own interface into it. */
  bridge: 'slipway0',
  /** The switch's end of the machine's cable. */
  machinePort: 'slw-machine',
  siteNetns: 'slipway-site',
  /** The switch's end of a cable; `name` is a host's or `site`. */
  port: (name: string) => `slw-${name}`,
  hostNetns: (host: string) => `slipway-${host}`,
  /** Group of the process that keeps a host running; the host's own group has the host's name. */
  supervisorGroup: (host: string) => `supervisor-${host}`,
  registryGroup: 'site-registry',
  packagesGroup: 'site-packages',
} as const;
