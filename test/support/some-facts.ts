import type {Facts} from '#provisioner/role/facts';

/** A bare Debian host on which nothing is wrong, but for what the test says otherwise. */
export function someFacts(changes: Partial<Facts> = {}): Facts {
  return {
    hostname: 'h1',
    os: {id: 'debian', idLike: [], version: '13'},
    prettyName: 'Debian GNU/Linux 13 (trixie)',
    kernel: '6.12.0',
    arch: 'amd64',
    machineId: '0123456789abcdef0123456789abcdef',
    bootId: 'boot-1',
    cpuCount: 2,
    memoryBytes: 4 * 1024 ** 3,
    swapDevices: [],
    cgroupVersion: 2,
    clockSeconds: 1_800_000_000,
    systemd: true,
    packageManager: 'apt',
    missingCommands: [],
    listeningPorts: [22],
    addresses: [
      {address: '127.0.0.1', interface: 'lo'},
      {address: '10.89.0.11', interface: 'eth0'},
    ],
    freeBytes: {'/': 1e10, '/var/lib': 1e10},
    hostsTemplates: [],
    firewalls: [],
    nameServers: ['10.89.0.2'],
    existing: {
      runtimeSockets: [],
      kubeletConf: false,
      adminConf: false,
      manifests: [],
      etcdData: false,
      etcdLostFound: false,
      images: undefined,
      pki: false,
      occupied: [],
      networkFiles: [],
      startDropIns: [],
    },
    ...changes,
  };
}
