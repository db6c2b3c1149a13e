/** An environment without a network: hosts that answer with canned facts and hold nothing yet. */
import {createHash} from 'node:crypto';
import {Readable} from 'node:stream';
import type {Artifact, ArtifactName} from '#artifacts/artifact';
import {CodedError} from '#shared/errors';
import type {ActionOptions, Environment} from '#provisioner/actions/environment';
import type {RunEvent} from '#provisioner/engine/events';
import {FACTS_SCRIPT} from '#provisioner/facts/facts-script';
import {emptyHostState, formatHostState, type HostState} from '#provisioner/host-state/host-state';
import type {Cluster, Host} from '#provisioner/role/cluster';
import type {ControllerRelease} from '#provisioner/certificates/controller-release';
import {aCluster} from './a-cluster.ts';
import {aControllerRelease, CONTROLLER_IMAGE} from './a-controller-release.ts';
import {FakeConnection, type RecordedRun, type Answer} from './fake-connection.ts';

export interface SiteOptions {
  readonly cluster?: Cluster;
  readonly options?: Partial<ActionOptions>;
  readonly rolesByPhase?: Environment['rolesByPhase'];
  readonly render?: Environment['render'];
  /** Facts that differ from those of a good host, by name of host; `undefined` is unreachable. */
  readonly facts?: (host: Host) => Readonly<Record<string, string>> | undefined;
  readonly states?: Readonly<Record<string, Partial<HostState>>>;
  /** Answers before the site does. */
  readonly respond?: (
    run: RecordedRun,
    host: string,
  ) => Answer | undefined | Promise<Answer | undefined>;
  readonly release?: ControllerRelease;
  readonly missingImages?: readonly string[];
  /** By reference: what the lock file names. */
  readonly lockedDigests?: Readonly<Record<string, readonly string[]>>;
  readonly signal?: AbortSignal;
}

export interface Site {
  readonly environment: Environment;
  readonly connections: ReadonlyMap<string, FakeConnection>;
  readonly events: readonly RunEvent[];
  /** What the run has added to the lock file: reference → digest. */
  readonly locked: ReadonlyMap<string, string>;
  /** How many requests all hosts got. */
  readonly requests: () => number;
}

const NOW_MS = 1_800_000_000_000;

export function aSite(given: SiteOptions = {}): Site {
  const cluster = given.cluster ?? aCluster();
  const connections = new Map<string, FakeConnection>();
  const events: RunEvent[] = [];
  const locked = new Map<string, string>();
  const hosts = new Map(cluster.hosts.map(host => [host.name, host]));
  const environment: Environment = {
    cluster,
    connect: ({host: name}) => {
      const host = hosts.get(name);
      const facts = host === undefined ? undefined : (given.facts ?? (() => ({})))(host);
      if (host === undefined || facts === undefined) {
        const hint = 'see whether it runs';
        throw new CodedError('ERR_HOST_UNREACHABLE', `${name}: nobody answers`, {hint});
      }
      const state = given.states?.[name];
      const connection = new FakeConnection({
        host: name,
        respond: async run => {
          const answer = await given.respond?.(run, name);
          if (answer !== undefined) return answer;
          if (run.script === FACTS_SCRIPT) return factsText(host, facts, state);
          return pulledImages(run.script);
        },
      });
      connections.set(name, connection);
      return Promise.resolve(connection);
    },
    artifacts: () =>
      Promise.resolve({
        artifact: name => Promise.resolve(anArtifactOf(name)),
        images: {
          controlPlane: ['registry.k8s.io/kube-apiserver:v1.36.3'],
          everyNode: ['registry.k8s.io/pause:3.10.2'],
          addons: ['registry.k8s.io/coredns:v1', 'proof:v1'],
          flannel: 'ghcr.io/flannel:v1',
          coredns: 'registry.k8s.io/coredns:v1',
          proof: 'proof:v1',
          certificates: CONTROLLER_IMAGE,
        },
        controllerRelease: () => Promise.resolve(given.release ?? aControllerRelease()),
        lockOwnImage: () => Promise.resolve(),
        findImages: references =>
          Promise.resolve(
            new Map(
              references
                .filter(each => given.missingImages?.includes(each) !== true)
                .map(each => [each, digestOfImage(each)]),
            ),
          ),
        lockedDigests: reference => given.lockedDigests?.[reference] ?? [],
        lockImages: digests => {
          for (const [reference, digest] of digests) locked.set(reference, digest);
          return Promise.resolve();
        },
        imageArchive: () => Promise.resolve({sizeBytes: 3, open: () => Readable.from(['tar'])}),
      }),
    render: given.render ?? (name => `# ${name}\n`),
    artifactsArch: 'amd64',
    rolesByPhase: given.rolesByPhase ?? {},
    emit: event => void events.push(event),
    signal: given.signal ?? new AbortController().signal,
    options: {forks: 50, limit: [], deep: false, ...given.options},
    clock: {now: () => new Date(NOW_MS), monotonicMs: () => 0},
    owner: 'a test',
    knownHostsPaths: [],
  };
  const requests = () => [...connections.values()].reduce((sum, {runs}) => sum + runs.length, 0);
  return {environment, connections, events, locked, requests};
}

/** The digest that the site's registry has for a reference. */
export const digestOfImage = (reference: string): string =>
  `sha256:${createHash('sha256').update(reference).digest('hex')}`;

/** What a host lists after a pull: everything that it was asked to pull. */
function pulledImages(script: string): string {
  const lanes = [...script.matchAll(/^pull (.+) & pids/gm)];
  if (lanes.length === 0) return '';
  const references = lanes.flatMap(([, words = '']) => words.split(' '));
  const lines = references.map(name => `image\t${name}\t${digestOfImage(name)}\n`);
  return `images\tyes\n${lines.join('')}`;
}

function factsText(
  host: Host,
  changes: Readonly<Record<string, string>>,
  state: Partial<HostState> | undefined,
): string {
  const facts: Record<string, string> = {
    hostname: host.name,
    arch: 'x86_64',
    'machine-id': createHash('md5').update(host.name).digest('hex'),
    'boot-id': 'boot-1',
    cpus: '2',
    'memory-kib': '4000000',
    cgroup: 'cgroup2fs',
    clock: String(NOW_MS / 1000),
    systemd: 'yes',
    'package-manager': 'apt',
    address: host.internalAddress,
    nameserver: '10.0.0.1',
    ...changes,
  };
  if (state !== undefined) {
    const text = formatHostState({...emptyHostState('lab'), ...state});
    facts['state'] = Buffer.from(text).toString('base64');
  }
  return Object.entries(facts)
    .map(([key, value]) => `${key}\t${value}\n`)
    .join('');
}

export function anArtifactOf(name: ArtifactName): Artifact {
  const sha256 = createHash('sha256').update(name).digest('hex');
  return {name, version: '1.0', arch: 'amd64', sha256, sizeBytes: 1_000, path: '/nonexistent'};
}
