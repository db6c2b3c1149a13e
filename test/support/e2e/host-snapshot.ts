import {onHost} from './the-lab.ts';

/** What a host is made of, by kind: one line for each thing. */
export type HostSnapshot = Readonly<Record<string, readonly string[]>>;

/**
 * Files that change by themselves, or that a package manager keeps about its own work. Everything
 * else under /etc, /usr, /opt and /var/lib must be after a reset what it was before us.
 */
export const CHANGING_PATHS: readonly string[] = [
  '/var/lib/apt/', // lists and their times, extended_states
  '/var/lib/dpkg/', // status and its backups; packages are compared by name and version
  '/var/lib/systemd/', // random seed, times of timers
  '/var/lib/private/', // systemd's own
  '/etc/ld.so.cache', // made anew by every installed library
];

const SECTIONS: Readonly<Record<string, string>> = {
  packages: `dpkg-query -W -f='\${Package} \${Version} \${db:Status-Status}\\n'`,
  // Without the columns' padding, and without what a login makes.
  'unit files': `systemctl list-unit-files --no-legend --no-pager | tr -s ' ' | grep -v '\\.scope '`,
  'failed units': 'systemctl list-units --failed --no-legend --no-pager --plain',
  // Without the number of a cable's other end, which is another after every boot.
  links: `ip -o link | awk '{sub(/@.*/, "", $2); print $2, $9}' | sort`,
  addresses: `ip -o -4 addr | awk '{print $2, $4}'`,
  routes: 'ip route',
  modules: 'ls /etc/modules-load.d /run/modules-load.d 2>/dev/null',
  mounts: `awk '{print $5}' /proc/self/mountinfo | grep -v '^/run/user/' | sort`,
  'network namespaces': 'ls /run/netns 2>/dev/null',
  sysctls:
    'sysctl net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables',
  'listening ports': `awk 'FNR > 1 && $4 == "0A" {print $2}' /proc/net/tcp /proc/net/tcp6 | sort`,
  'run folders': 'ls -d /run/containerd /run/flannel /run/slipway/cri* 2>/dev/null',
  entries: `find /etc /usr /opt /var/lib -xdev ! -type f -printf '%y %m %U:%G %p -> %l\\n' | sort -k4`,
  files: `find /etc /usr /opt /var/lib -xdev -type f -printf '%m %U:%G %p\\n' | sort -k3`,
  content: 'find /etc /usr /opt /var/lib -xdev -type f -print0 | sort -z | xargs -0 sha256sum',
};

const MARK = '=== ';

/** Reads a host whole; about two seconds. The packet filter is read by {@link readRuleset}. */
export async function snapshotHost(host: string): Promise<HostSnapshot> {
  const script = Object.entries(SECTIONS)
    .map(([name, command]) => `echo '${MARK}${name}'; ${command}`)
    .join('\n');
  const sections: Record<string, string[]> = {};
  let current: string[] = [];
  for (const line of (await onHost(host, `${script}\n:`)).split('\n')) {
    if (line.startsWith(MARK)) current = sections[line.slice(MARK.length)] = [];
    else if (!isChanging(line)) current.push(line);
  }
  return sections;
}

const isChanging = (line: string): boolean =>
  CHANGING_PATHS.some(path => line.includes(` ${path}`));

/** Lines that came and lines that went, with their kind; empty when the host is as it was. */
export function compareSnapshots(before: HostSnapshot, after: HostSnapshot): readonly string[] {
  return Object.keys({...before, ...after}).flatMap(kind => {
    const [old, now] = [new Set(before[kind]), new Set(after[kind])];
    return [
      ...[...old].filter(line => !now.has(line)).map(line => `${kind}: - ${line}`),
      ...[...now].filter(line => !old.has(line)).map(line => `${kind}: + ${line}`),
    ];
  });
}
