import {quote} from '#shared/quote';
import {HOST_STATE_PATH, type HostState, isOurs} from '../host-state/host-state.ts';

/** Directories that our programs fill while they run, by the resource that shows they ran. */
const REMAINS: Readonly<Record<string, readonly string[]>> = {
  'unit:containerd.service': [
    '/etc/cni',
    '/etc/containerd',
    '/opt/cni',
    '/opt/containerd',
    '/run/containerd',
    '/var/lib/containerd',
  ],
  'unit:slipway-cri.service': [
    '/etc/cni',
    '/etc/slipway',
    '/opt/cni',
    '/opt/slipway',
    '/run/slipway/cri',
    '/var/lib/slipway/cri',
  ],
  'unit:kubelet.service': ['/etc/kubernetes', '/var/log/containers', '/var/log/pods'],
};

/** How long the daemon may take to stop what still runs; its own grace periods are shorter. */
const STOP_PODS_SECONDS = 120;

/**
 * sh that ends every pod which our daemon still knows, while it is there to do it: kubeadm has asked
 * it to, but knows only hosts that it made nodes. Nothing for a host without the daemon.
 */
export function stopPodsScript(state: HostState): string {
  if (!isOurs(state, 'unit:slipway-cri.service')) return '';
  return [
    'export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    // What it cannot stop is ended the hard way by STOP_MONITORS.
    `[ ! -S /run/slipway/cri.sock ] || timeout ${STOP_PODS_SECONDS} slipway-cri reset </dev/null || :`,
  ].join('\n');
}

/**
 * sh that takes away what programs made for themselves. A directory that held something before the
 * first change (`state.before`) is somebody's: it stays, and goes only if it is empty now.
 */
export function remainsScript(state: HostState): string {
  const ran = Object.keys(REMAINS).filter(id => isOurs(state, id));
  const directories = [...new Set(ran.flatMap(id => REMAINS[id] ?? []))];
  const before = new Set(state.before ?? []);
  const [foreign, own] = [
    directories.filter(path => before.has(path)),
    directories.filter(path => !before.has(path)),
  ];
  return [
    'export LC_ALL=C',
    ...(ran.includes('unit:containerd.service') ? [STOP_SHIMS] : []),
    ...(ran.includes('unit:slipway-cri.service') ? [STOP_MONITORS] : []),
    ...(own.length > 0 ? [`rm -rf --one-file-system -- ${quote(own)}`] : []),
    ...foreign.map(path => `rmdir -- ${quote([path])} 2>/dev/null`),
    'systemctl daemon-reload',
    'systemctl reset-failed containerd.service slipway-cri.service kubelet.service 2>/dev/null',
    `rm -f ${HOST_STATE_PATH} /var/lib/slipway/packages-before`,
    'rmdir /var/lib/slipway 2>/dev/null',
    ':',
  ].join('\n');
}

const unmountBelow = (paths: string): string =>
  `grep -oE ' (${paths})/[^ ]*' /proc/mounts | sort -r | while read -r m; do umount -l "$m" 2>/dev/null || :; done`;

const STOP_SHIMS = `
ps -eo pid=,args= | sed -n 's#^ *\\([0-9]*\\) /usr/local/bin/containerd-shim-runc-v2 .*#\\1#p' | while read -r pid; do kill -9 "$pid" 2>/dev/null || :; done
${unmountBelow('/run/containerd|/var/lib/containerd')}
`.trim();

/** A monitor's child is a container's first process: with it everything in the container ends. */
const STOP_MONITORS = `
ps -eo pid=,args= | sed -n 's#^ *\\([0-9]*\\) /opt/slipway/bin/conmon .*#\\1#p' | while read -r pid; do
  kill -9 $(ps -o pid= --ppid "$pid") "$pid" 2>/dev/null || :
done
${unmountBelow('/run/slipway/cri|/var/lib/slipway/cri')}
rm -f /run/slipway/cri.sock
`.trim();
