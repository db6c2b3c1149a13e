import {X509Certificate} from 'node:crypto';
import {isCoded} from '#shared/errors';
import {countChanges} from '../plan/host-plan.ts';
import {readClusterState} from '../proof/read-only-proof.ts';
import type {ProofResult} from '../proof/proof-result.ts';
import type {Environment} from './environment.ts';
import {namesOf} from './members.ts';
import {openHosts, type OpenHost} from './open-hosts.ts';
import type {RuntimeName} from '../role/cluster.ts';
import {runtimes} from '../role/runtimes.ts';
import {planOneHost, resolveArtifacts} from './plan-hosts.ts';
import {openKubernetes} from './verify.ts';

/** One row of `provision status`. */
export interface HostStatus {
  readonly host: string;
  /** `ok`, or the code of what keeps us out. */
  readonly ssh: string;
  readonly runtime: string; // e.g. `slipway active 0.1.0`
  readonly kubelet: string; // e.g. `active v1.36.3`
  readonly ready: string; // `yes`, `no`, or `-` when the API did not say
  /** The first certificate to end, as `2027-11-22`; `-` without any; `! unreadable` if one is. */
  readonly certificatesUntil: string;
  /** Resources that are not as they should be; undefined when the host could not be asked. */
  readonly drift: number | undefined;
}

export interface ClusterStatus {
  readonly hosts: readonly HostStatus[];
  /** What the API says of nodes and workloads; undefined when it does not answer. */
  readonly cluster: ProofResult | undefined;
}

/** Looks at every host and at the API; changes nothing, and reports what it cannot reach. */
export async function status(environment: Environment): Promise<ClusterStatus> {
  const {cluster, signal} = environment;
  await using open = await openHosts(environment, cluster.hosts, {lock: false});
  const state = await readApi(environment, open);
  const artifact = await resolveArtifacts(environment, await environment.artifacts());
  const rows = await Promise.all(
    open.hosts.map(async host => {
      const {name} = host.host;
      const ready = state?.nodes.find(({node}) => node === name)?.cells.ready;
      try {
        const plan = await planOneHost(environment, host, artifact);
        const own = await readHost(host, signal);
        const isReady = ready === undefined ? '-' : ready.state === 'ok' ? 'yes' : 'no';
        return {host: name, ssh: 'ok', ...own, ready: isReady, drift: countChanges(plan)};
      } catch (error) {
        if (!isCoded(error)) throw error;
        return unreachedRow(name, error); // the others are told all the same
      }
    }),
  );
  const unreached = cluster.hosts
    .filter(({name}) => !rows.some(({host}) => host === name))
    .map(({name}) => unreachedRow(name, open.failures.get(name)));
  const hosts = [...rows, ...unreached].sort((a, b) => (a.host < b.host ? -1 : 1));
  return {hosts, cluster: state};
}

async function readApi(environment: Environment, open: Parameters<typeof openKubernetes>[1]) {
  const {cluster, signal} = environment;
  if (!open.hosts.some(({host}) => host.isControlPlane)) return undefined;
  try {
    await using kubernetes = openKubernetes(environment, open);
    return await readClusterState(await kubernetes.api({signal}), cluster, {
      signal,
      inventory: namesOf(cluster),
    });
  } catch (error) {
    // Status tells what is there; a cluster that does not answer is part of that.
    if (isCoded(error)) return undefined;
    throw error;
  }
}

const RUNTIME_VERSION: Readonly<Record<RuntimeName, string>> = {
  slipway: `slipway-cri --version 2>/dev/null | awk '{sub(",", "", $2); print $2}'`,
  containerd: `containerd --version 2>/dev/null | awk '{print $3}'`,
};

const hostScript = (runtime: RuntimeName): string =>
  `
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
printf 'runtime\\t%s %s\\n' "$(systemctl is-active ${runtimes[runtime].unit})" "$(${RUNTIME_VERSION[runtime]})"
printf 'kubelet\\t%s %s\\n' "$(systemctl is-active kubelet.service)" "$(kubelet --version 2>/dev/null | awk '{print $2}')"
for f in /etc/kubernetes/pki/*.crt /etc/kubernetes/pki/etcd/*.crt /var/lib/kubelet/pki/kubelet-client-current.pem; do
  [ ! -f "$f" ] || { printf 'certificate\\t'; sed -n '/-BEGIN CERTIFICATE-/,/-END CERTIFICATE-/p' "$f" | base64 -w0; echo; }
done
:`.trim();

async function readHost({connection, host}: OpenHost, signal: AbortSignal) {
  const {stdout} = await connection.run(hostScript(host.runtime), {signal});
  const lines = stdout.split('\n').map(line => line.split('\t'));
  const one = (key: string) => lines.find(([name]) => name === key)?.[1]?.trim() ?? '-';
  const ends = lines
    .filter(([name]) => name === 'certificate')
    .map(([, text = '']) => Buffer.from(text, 'base64').toString())
    .map(endOf)
    .sort();
  return {
    runtime: `${host.runtime} ${one('runtime')}`,
    kubelet: one('kubelet'),
    certificatesUntil: ends[0] ?? '-',
  };
}

/** What cannot be read sorts before every date: somebody should look at it first. */
function endOf(pem: string): string {
  try {
    return new X509Certificate(pem).validToDate.toISOString().slice(0, 10);
  } catch {
    return UNREADABLE;
  }
}

const UNREADABLE = '! unreadable';

function unreachedRow(name: string, error: unknown): HostStatus {
  const ssh = isCoded(error) ? error.code : 'unreachable';
  const none = {runtime: '-', kubelet: '-', ready: '-', certificatesUntil: '-'};
  return {host: name, ssh, ...none, drift: undefined};
}
