import {runGraph, type Task} from '../engine/graph.ts';
import {emptyHostState, HOST_STATE_PATH} from '../host-state/host-state.ts';
import {runScript} from '../phases/run-script.ts';
import {undoKubeadm} from '../phases/run-kubeadm.ts';
import type {HostSession} from '../phases/session.ts';
import {INIT_ACTION, JOIN_ACTION} from '../plan/action-plan.ts';
import {planHost, REMOVAL_PHASE} from '../plan/host-plan.ts';
import {applySteps} from '../plan/apply-script.ts';
import {parseProbe} from '../resources/probe.ts';
import {throwProblems} from '../problems-error.ts';
import type {Environment} from './environment.ts';
import {openHosts, type OpenHost} from './open-hosts.ts';
import {selectHosts} from './select-hosts.ts';

/** The sources file that the os role writes. */
const PACKAGE_SOURCES_PATH = '/etc/apt/sources.list.d/slipway.sources';
const REMOVE_TIMEOUT_MS = 10 * 60_000;

export interface ResetHooks {
  /** Asked once before the first change, with the names of the hosts that have something of ours. */
  readonly confirm: (hosts: readonly string[]) => Promise<boolean>;
}

/**
 * Brings hosts back to what they were: the cluster's traces, then everything that state.json says
 * we made, the newest first, then state.json itself. Returns how many hosts were reset.
 *
 * @throws CodedError or ProblemsError; what was not removed stays recorded, so it can be run again
 */
export async function reset(environment: Environment, {confirm}: ResetHooks): Promise<number> {
  const {cluster, options, signal, emit, clock} = environment;
  const selected = selectHosts(cluster, options.limit);
  await using open = await openHosts(environment, selected, {lock: true});
  throwProblems(open.errors);
  const ours = open.hosts.filter(({record}) => hasTraces(record.state));
  if (ours.length === 0 || !(await confirm(ours.map(({host}) => host.name)))) return 0;
  // Workers first: the control plane outlives its nodes.
  const workers = ours.filter(({host}) => !host.isControlPlane);
  const tasks = ours.map((host): Task => ({
    phase: 'reset',
    host: host.host.name,
    after: [],
    afterSettled: host.host.isControlPlane ? workers.map(w => `reset@${w.host.name}`) : [],
    run: async ({progress}) => await resetHost(host, progress),
  }));
  const graph = {signal, emit, forks: options.forks, now: clock.monotonicMs};
  const results = await runGraph(tasks, graph);
  throwProblems(
    [...results.values()].flatMap(each => (each.kind === 'failed' ? [each.error] : [])),
  );
  return ours.length;
}

const hasTraces = ({resources, pending, actions}: OpenHost['record']['state']): boolean =>
  Object.keys(resources).length + pending.length + Object.keys(actions).length > 0;

async function resetHost(host: HostSession, progress: (text: string) => void): Promise<number> {
  const {record, connection} = host;
  const {state} = record;
  if (INIT_ACTION in state.actions || JOIN_ACTION in state.actions) {
    progress('undoing kubeadm');
    await undoKubeadm(host);
  }
  progress('removing what was made');
  const nothing = parseProbe('');
  const plan = planHost(host.host.name, [], {probe: nothing, state});
  const changes = plan.phases.find(({phase}) => phase === REMOVAL_PHASE)?.changes ?? [];
  const failure = {
    code: 'ERR_RESOURCE_FAILED' as const,
    tried: 'remove what we made',
    hint: `mend what it names on ${host.host.name}, then run "provision reset" again`,
  };
  for (const {script} of applySteps(changes, plan.input)) {
    await runScript(connection, script, {timeoutMs: REMOVE_TIMEOUT_MS, failure});
  }
  // Without our repository in its sources, apt drops the lists that it fetched from it.
  const listed =
    `file:${PACKAGE_SOURCES_PATH}` in state.resources ? 'apt-get -qq update || :\n' : '';
  await runScript(connection, listed + REMAINS_SCRIPT, {timeoutMs: REMOVE_TIMEOUT_MS, failure});
  await record.forget(emptyHostState(state.cluster));
  return changes.length;
}

/**
 * What programs made for themselves while they ran, and the directories that are empty then. The
 * directories that Debian ships, empty or not, stay.
 */
const REMAINS_SCRIPT = `
export LC_ALL=C
ps -eo pid=,args= | sed -n 's#^ *\\([0-9]*\\) /usr/local/bin/containerd-shim-runc-v2 .*#\\1#p' | while read -r pid; do kill -9 "$pid" 2>/dev/null || :; done
grep -oE ' (/run/containerd|/var/lib/containerd)/[^ ]*' /proc/mounts | sort -r | while read -r m; do umount -l "$m" 2>/dev/null || :; done
rm -rf /run/containerd /var/lib/containerd /opt/containerd /etc/containerd /opt/cni /etc/cni /etc/kubernetes
rm -rf /var/log/pods /var/log/containers
systemctl daemon-reload
systemctl reset-failed containerd.service kubelet.service 2>/dev/null
rm -f ${HOST_STATE_PATH} /var/lib/slipway/packages-before
rmdir /var/lib/slipway 2>/dev/null
:`.trim();
