import {homedir} from 'node:os';
import {join} from 'node:path';

/** The project's own folder, two above this file. */
export const CHECKOUT = join(import.meta.dirname, '..', '..');

/** Where one checkout keeps its lab; removed by `down`, but for the registry's images. */
export interface LabFolders {
  readonly checkout: string;
  /** `<checkout>/.lab` */
  readonly root: string;
  readonly clusterFile: string;
  readonly hostsFile: string;
  /** Private key of root and lab on every host. */
  readonly privateKey: string;
  readonly knownHosts: string;
  readonly hosts: string;
  /** Which base image the lab runs on. */
  readonly imageFile: string;
  readonly site: string;
  /** Public key that the package repository is signed with. */
  readonly repositoryKey: string;
  /** Images pushed to the registry; kept by `down`, so the next lab need not push them again. */
  readonly registryStorage: string;
  readonly host: (name: string) => HostFolders;
}

/** One host's disk and the supervisor's notes. */
export interface HostFolders {
  readonly root: string;
  /** Overlay over the base: what the host wrote outside /var. */
  readonly upper: string;
  readonly work: string;
  readonly var: string;
  readonly mountPoint: string;
  /** Process id of the host's init as the machine sees it. */
  readonly initPid: string;
  /** Present: its supervisor starts it no more, not even after a reboot. */
  readonly halted: string;
  /** Present: its cable is cut, also after a reboot. */
  readonly cut: string;
  readonly supervisorLog: string;
}

export function labFolders(checkout: string): LabFolders {
  const root = join(checkout, '.lab');
  const site = join(root, 'site');
  return {
    checkout,
    root,
    clusterFile: join(root, 'cluster.yaml'),
    hostsFile: join(root, 'hosts.yaml'),
    privateKey: join(root, 'id_ed25519'),
    knownHosts: join(root, 'known_hosts'),
    hosts: join(root, 'hosts'),
    imageFile: join(root, 'image.json'),
    site,
    repositoryKey: join(site, 'repository.asc'),
    registryStorage: join(site, 'registry'),
    host: name => hostFolders(join(root, 'hosts', name)),
  };
}

function hostFolders(root: string): HostFolders {
  return {
    root,
    upper: join(root, 'upper'),
    work: join(root, 'work'),
    var: join(root, 'var'),
    mountPoint: join(root, 'root'),
    initPid: join(root, 'init.pid'),
    halted: join(root, 'halted'),
    cut: join(root, 'cut'),
    supervisorLog: join(root, 'supervisor.log'),
  };
}

/** `$XDG_CACHE_HOME/slipway/lab`, shared by all checkouts. */
export function labCacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const cache = environment['XDG_CACHE_HOME'];
  return join(
    cache === undefined || cache === '' ? join(homedir(), '.cache') : cache,
    'slipway',
    'lab',
  );
}
