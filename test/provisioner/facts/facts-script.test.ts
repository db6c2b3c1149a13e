import {execFileSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import test from 'ava';
import {FACTS_SCRIPT} from '#provisioner/facts/facts-script';
import {parseFacts} from '#provisioner/facts/parse-facts';
import type {Facts} from '#provisioner/role/facts';
import {shells} from '#test/folder-host';

/** What is on the host, by path: a file's text, or where a link leads; /bin is on the PATH. */
type Host = Readonly<Record<string, string | {readonly link: string}>>;

/** Directories of the host that are folders here; everything else is this machine's. */
const MAPPED = ['/etc/', '/lib/systemd/', '/run/', '/usr/lib/', '/usr/local/lib/', '/var/lib/etcd'];

function factsOf(host: Host, shell: string): Facts {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-facts-'));
  try {
    const files: Host = {'/etc/machine-id': '', ...host};
    for (const [path, content] of Object.entries(files)) {
      const file = join(folder, path);
      mkdirSync(dirname(file), {recursive: true});
      if (typeof content === 'string') writeFileSync(file, content, {mode: 0o755});
      else symlinkSync(content.link, file);
    }
    const script = MAPPED.reduce(
      (text, path) => text.replaceAll(new RegExp(`(?<![\\w/.}])${path}`, 'g'), folder + path),
      FACTS_SCRIPT.replace('PATH=', `PATH=${folder}/bin:`),
    );
    return parseFacts(execFileSync(shell, ['-s'], {input: script, encoding: 'utf8'}));
  } finally {
    rmSync(folder, {recursive: true});
  }
}

const reads = test.macro((t, host: Host, expected: (facts: Facts) => unknown, value: unknown) => {
  for (const shell of shells) t.deepEqual(expected(factsOf(host, shell)), value, shell);
});

test(
  'network configurations are the files that a runtime reads',
  reads,
  {
    '/etc/cni/net.d/10-calico.conflist': '{}',
    '/etc/cni/net.d/10-flannel.conflist': '{}',
    '/etc/cni/net.d/05-old.conf': '{}',
    '/etc/cni/net.d/20-other.json': '{}',
    '/etc/cni/net.d/calico-kubeconfig': '',
    '/etc/cni/net.d/10-calico.conflist.disabled': '',
    '/etc/cni/net.d/directory.conf/file': '',
  },
  ({existing}: Facts) => existing.networkFiles.toSorted(),
  ['05-old.conf', '10-calico.conflist', '10-flannel.conflist', '20-other.json'],
);
test(
  'a host without /etc/cni has none',
  reads,
  {},
  ({existing}: Facts) => existing.networkFiles,
  [],
);

const START = '[Service]\nExecStart=\nExecStart=/usr/bin/kubelet\n';

test(
  'drop-ins that say themselves what is started are found where systemd looks',
  reads,
  {
    '/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf': START,
    '/usr/local/lib/systemd/system/containerd.service.d/a.conf': START,
    '/run/systemd/system/slipway-cri.service.d/a.conf': '[Service]\n  ExecStart = /bin/true\n',
    '/etc/systemd/system/kubelet.service.d/20-site.conf': START,
    '/etc/systemd/system/sshd.service.d/a.conf': START,
    '/etc/systemd/system/kubelet.service.d/a.conf.old': START,
  },
  ({existing}: Facts) =>
    existing.startDropIns.map(
      ({unit, path}) => `${unit} ${path.replace(/^.*\/(?=[^/]+\/[^/]+$)/, '')}`,
    ),
  [
    'kubelet.service kubelet.service.d/20-site.conf',
    'kubelet.service kubelet.service.d/10-kubeadm.conf',
    'slipway-cri.service slipway-cri.service.d/a.conf',
    'containerd.service containerd.service.d/a.conf',
  ],
);
test(
  'drop-ins that set something else are not, nor what a file of the same name hides',
  reads,
  {
    '/etc/systemd/system/kubelet.service.d/proxy.conf':
      '[Service]\n#ExecStart=\nExecStartPre=/bin/true\nEnvironment=HTTPS_PROXY=http://10.0.0.1\n',
    '/etc/systemd/system/kubelet.service.d/10-kubeadm.conf': {link: '/dev/null'},
    '/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf': START,
    '/etc/systemd/system/containerd.service.d/10.conf': '',
    '/run/systemd/system/containerd.service.d/10.conf': START,
  },
  ({existing}: Facts) => existing.startDropIns,
  [],
);

const etcd = ({existing: {etcdData, etcdLostFound}}: Facts) => ({etcdData, etcdLostFound});
test('a host without a directory for etcd has no data of it', reads, {}, etcd, {
  etcdData: false,
  etcdLostFound: false,
});
test('a file system of its own for etcd holds no data', reads, {'/var/lib/etcd/lost+found/x': ''}, etcd, {
  etcdData: false,
  etcdLostFound: true,
}); // prettier-ignore
test("what is beside lost+found is etcd's data", reads, {
  '/var/lib/etcd/lost+found/x': '',
  '/var/lib/etcd/member/snap/db': '',
}, etcd, {etcdData: true, etcdLostFound: true}); // prettier-ignore

const systemctl = (exitCode: number): string => `#!/bin/sh
[ "$*" = '-q is-active firewalld.service' ] && exit ${exitCode}
exit 1
`;
const firewalls = (facts: Facts) => facts.firewalls;
test('firewalld is in force when its unit is active', reads, {'/bin/systemctl': systemctl(0)}, firewalls, ['firewalld']); // prettier-ignore
test('ufw is in force when its file says so', reads, {
  '/bin/systemctl': systemctl(3),
  '/etc/ufw/ufw.conf': '# Set to yes to start on boot.\nENABLED=yes\nLOGLEVEL=low\n',
}, firewalls, ['ufw']); // prettier-ignore
test('firewalls that are installed only are not in force', reads, {
  '/bin/systemctl': systemctl(3),
  '/etc/ufw/ufw.conf': '#ENABLED=yes\nENABLED=no\n',
}, firewalls, []); // prettier-ignore
