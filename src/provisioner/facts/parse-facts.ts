import {CodedError} from '#shared/errors';
import type {ProvisionerErrorCode} from '../errors.ts';
import {
  emptyHostState,
  HOST_STATE_PATH,
  type HostState,
  parseHostState,
} from '../host-state/host-state.ts';
import type {Facts, UnitFile} from '../role/facts.ts';
import {parseImages} from './host-images.ts';

const SERVICE_PORTS_END = 32_768; // above are ephemeral ports, which come and go

/** Reads the output of the facts script; unknown lines are ignored, missing values are empty. */
export function parseFacts(output: string): Facts {
  const lines = output.split('\n').map(line => line.split('\t'));
  const all = (key: string): readonly string[] =>
    lines.filter(([name]) => name === key).map(([, value = '']) => value);
  const one = (key: string): string => all(key)[0] ?? '';
  const os = new Map(
    all('os').map(text => {
      const at = text.indexOf('=');
      return [text.slice(0, at), text.slice(at + 1).replaceAll(/^["']|["']$/g, '')];
    }),
  );
  return {
    hostname: one('hostname'),
    os: {
      id: os.get('ID') ?? '',
      idLike: (os.get('ID_LIKE') ?? '').split(' ').filter(Boolean),
      version: os.get('VERSION_ID') ?? '',
    },
    prettyName: os.get('PRETTY_NAME') ?? '',
    kernel: one('kernel'),
    arch: ({x86_64: 'amd64', aarch64: 'arm64'} as const)[one('arch') as 'x86_64'],
    machineId: one('machine-id'),
    bootId: one('boot-id'),
    cpuCount: Number(one('cpus')),
    memoryBytes: Number(one('memory-kib')) * 1024,
    swapDevices: all('swap'),
    cgroupVersion: one('cgroup') === 'cgroup2fs' ? 2 : 1,
    clockSeconds: Number(one('clock')),
    systemd: one('systemd') === 'yes',
    packageManager: one('package-manager') === 'apt' ? 'apt' : undefined,
    missingCommands: all('missing'),
    listeningPorts: ports(all('port-hex')),
    addresses: lines
      .filter(([key]) => key === 'address')
      .map(([, address = '', name = '']) => ({address, interface: name})),
    freeBytes: Object.fromEntries(all('free').flatMap(freeOf)),
    hostsTemplates: all('hosts-template'),
    firewalls: all('firewall'),
    nameServers: all('nameserver'),
    existing: {
      runtimeSockets: all('runtime-socket'),
      kubeletConf: one('kubelet-conf') === 'yes',
      adminConf: one('admin-conf') === 'yes',
      pki: one('pki') === 'yes',
      occupied: all('occupied'),
      manifests: all('manifest'),
      etcdData: one('etcd-data') === 'yes',
      etcdLostFound: one('etcd-lost-found') === 'yes',
      networkFiles: all('network-file'),
      startDropIns: all('start-drop-in').map(unitFileOf),
      images: parseImages(lines),
    },
  };
}

function ports(hex: readonly string[]): readonly number[] {
  const numbers = hex.map(text => Number.parseInt(text, 16));
  return [...new Set(numbers)].filter(port => port < SERVICE_PORTS_END).sort((a, b) => a - b);
}

function unitFileOf(text: string): UnitFile {
  const at = text.indexOf(' ');
  return {unit: text.slice(0, at), path: text.slice(at + 1)};
}

function freeOf(text: string): readonly [string, number][] {
  const [path = '', blocks = '', size = ''] = text.split(' ');
  return size === '' ? [] : [[path, Number(blocks) * Number(size)]];
}

/**
 * The state that the same round trip brought along.
 *
 * @throws CodedError ERR_HOST_STATE_DAMAGED when there is one that we cannot read
 */
export function parseStateFact(output: string, host: string, cluster: string): HostState {
  const text = /^state\t(.*)$/m.exec(output)?.[1];
  if (text === undefined) return emptyHostState(cluster);
  const state = parseHostState(Buffer.from(text, 'base64').toString());
  if (state !== undefined) return state;
  throw new CodedError<ProvisionerErrorCode>(
    'ERR_HOST_STATE_DAMAGED',
    `${host}: ${HOST_STATE_PATH} is damaged or was written by a newer version`,
    {
      hint: `use the version that wrote it, or restore the file from a backup; without it nothing on ${host} is known to be ours`,
    },
  );
}
