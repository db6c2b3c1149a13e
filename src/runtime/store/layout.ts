import {join} from 'node:path';

/** Where the daemon keeps what it makes. */
export interface Layout {
  /** Records of sandboxes and containers; conmon's exit record of a container lies in its folder. */
  readonly sandboxRecords: string;
  readonly containerRecords: string;
  /** One file per ended container, written by conmon, taken away by us. */
  readonly exits: string;
  /** Says which boot the state belongs to. */
  readonly bootFile: string;
  /** A root file system with nothing but the init of shared PID namespaces. */
  readonly initRootfs: string;
  readonly sandboxFolders: string;
  readonly bundles: string;
  sandbox(id: string): SandboxLayout;
  /** The OCI bundle of a container, or of a sandbox's init. */
  bundle(id: string): string;
}

/** Host paths of one sandbox, all gone after a reboot. */
export interface SandboxLayout {
  readonly folder: string;
  /** Pinned namespaces: `net`, `ipc`, `uts`. */
  readonly namespaces: string;
  readonly resolvConf: string;
  readonly hostname: string;
  readonly shm: string;
}

/**
 * @param root on a disk: survives a reboot
 * @param state on a tmpfs, usually below /run
 */
export function layout({root, state}: {readonly root: string; readonly state: string}): Layout {
  const sandboxFolders = join(state, 'sandboxes');
  const bundles = join(state, 'containers');
  return {
    sandboxRecords: join(root, 'sandboxes'),
    containerRecords: join(root, 'containers'),
    exits: join(state, 'exits'),
    bootFile: join(state, 'boot'),
    initRootfs: join(state, 'init-rootfs'),
    sandboxFolders,
    bundles,
    sandbox(id) {
      const folder = join(sandboxFolders, id);
      return {
        folder,
        namespaces: join(folder, 'ns'),
        resolvConf: join(folder, 'resolv.conf'),
        hostname: join(folder, 'hostname'),
        shm: join(folder, 'shm'),
      };
    },
    bundle: id => join(bundles, id),
  };
}
