import {CodedError} from '#shared/errors';
import {lastLines} from '#shared/last-lines';
import type {ProvisionerErrorCode} from '../errors.ts';
import {type HostState, isOurs} from '../host-state/host-state.ts';
import {kubeadmResetScript} from '../kubeadm/reset-script.ts';
import type {HostPlan} from '../plan/host-plan.ts';
import {heredoc} from '../resources/prelude.ts';
import type {RuntimeName} from '../role/cluster.ts';
import {runtimes} from '../role/runtimes.ts';
import {startDigest} from '../resources/unit.ts';
import {runScript} from './run-script.ts';
import type {HostSession} from './session.ts';

const KUBEADM_TIMEOUT_MS = 10 * 60_000; // kubeadm's own limits are 4 to 5 minutes
const KUBEADM_LINES = 15;
const KUBELET_LINES = 10;

interface KubeadmRun {
  readonly action: string;
  readonly record: {readonly digest: string; readonly keys?: Record<string, string>};
  /** Written below /run/slipway (a tmpfs), readable by root, removed afterwards. */
  readonly files: Readonly<Record<string, string>>;
  /** Finds the files in `$directory`. */
  readonly script: string;
  readonly failureCode: ProvisionerErrorCode;
  readonly signal: AbortSignal;
  readonly progress: (text: string) => void;
}

/**
 * Runs kubeadm between two records in state.json: intent before, confirmation after. A record
 * that was left pending is undone first.
 *
 * @throws CodedError `failureCode` with kubeadm's own last lines and the kubelet's
 */
export async function runKubeadm(
  host: HostSession,
  plan: HostPlan | undefined,
  run: KubeadmRun,
): Promise<void> {
  const {record, connection} = host;
  const {action, signal, progress} = run;
  if (record.state.actions[action] !== undefined) {
    progress('undoing what an earlier run left');
    await undoKubeadm(host);
  }
  const entry = (status: 'pending' | 'done') => (state: HostState) => ({
    ...state,
    actions: {...state.actions, [action]: {status, ...run.record}},
  });
  await record.update(entry('pending'), {signal});
  signal.throwIfAborted();
  const result = await connection.run(kubeadmScript(run), {
    signal: new AbortController().signal, // what has begun is finished: see runScript
    timeoutMs: KUBEADM_TIMEOUT_MS,
    onLine: line => {
      const phase = /^\[([a-z-]+)\]/.exec(line)?.[1];
      if (phase !== undefined) progress(`kubeadm: ${phase}`);
    },
  });
  if (result.exitCode !== 0) throw await kubeadmError(host, run, result.stdout + result.stderr);
  await record.update(state => withKubelet(entry('done')(state), plan));
}

/** kubeadm has started the kubelet, with the configuration of this plan. */
function withKubelet(state: HostState, plan: HostPlan | undefined): HostState {
  const kubelet = plan?.units.get('kubelet.service');
  if (plan === undefined || kubelet === undefined) return state;
  const digest = startDigest(kubelet, plan.input.digests);
  return {...state, startedWith: {...state.startedWith, [kubelet.name]: digest}};
}

function kubeadmScript({files, script}: KubeadmRun): string {
  return [
    'export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'directory=/run/slipway',
    'umask 077; mkdir -p "$directory"; umask 022',
    `trap 'rm -f ${Object.keys(files)
      .map(name => `/run/slipway/${name}`)
      .join(' ')}' EXIT`,
    ...Object.entries(files).map(([name, text]) =>
      heredoc(`( umask 077; base64 -d > "$directory/${name}" )`, text),
    ),
    script,
  ].join('\n');
}

async function kubeadmError({host, connection}: HostSession, run: KubeadmRun, output: string) {
  const signal = new AbortController().signal; // evidence is wanted after an interrupt, too
  const script = `journalctl -u kubelet.service -n ${KUBELET_LINES} --no-pager -o cat 2>/dev/null`;
  const kubelet = await connection.run(script, {signal}).then(
    ({stdout}) => lastLines(stdout, KUBELET_LINES),
    () => '', // the host may be gone; kubeadm's own words are the ones that count
  );
  const said = output
    .split('\n')
    .filter(line => /error|fatal|timed out|refused/i.test(line) && !line.includes('[WARNING'))
    .filter(line => !line.startsWith('To see the stack trace'))
    .join('\n');
  const lines = lastLines(said === '' ? output : said, KUBEADM_LINES);
  const log = kubelet === '' ? '' : `\nThe kubelet's last lines:\n${kubelet}`;
  return new CodedError<ProvisionerErrorCode>(
    run.failureCode,
    `${host.name}: ${run.action.replace('-', ' ')} failed:\n${lines}${log}`,
    {hint: `mend what it names, then run the same command again: it starts ${host.name} afresh`},
  );
}

/** The inventory may name another by now: what is there is what has to be undone. */
function installedRuntime(state: HostState): RuntimeName | undefined {
  const names = Object.keys(runtimes) as RuntimeName[]; // its own keys
  const found = names.filter(name => isOurs(state, `unit:${runtimes[name].unit}`));
  return found.length === 1 ? found[0] : undefined;
}

/** Takes a host out of the cluster; @throws CodedError ERR_KUBEADM_RESET_FAILED */
export async function undoKubeadm({host, connection, record}: HostSession): Promise<void> {
  const runtime = installedRuntime(record.state) ?? host.runtime;
  await runScript(connection, kubeadmResetScript(runtimes[runtime].socket), {
    timeoutMs: KUBEADM_TIMEOUT_MS,
    failure: {
      code: 'ERR_KUBEADM_RESET_FAILED',
      tried: 'undo kubeadm',
      hint: `run "kubeadm reset" on ${host.name} by hand to see more, then the same command again`,
    },
  });
}
