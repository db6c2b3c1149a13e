import {quote} from '#shared/quote';
import type {TaskContext} from '../engine/graph.ts';
import type {RuntimeName} from '../role/cluster.ts';
import {runScript} from './run-script.ts';
import type {HostSession} from './session.ts';

const PULL_TIMEOUT_MS = 15 * 60_000;
const PULLS_AT_ONCE = 3;

/**
 * Pulls images through the host's own runtime, a few at a time, so that pods find them there.
 *
 * @throws CodedError ERR_IMAGE_PULL_FAILED, ERR_DISK_FULL and those of the connection
 */
export async function pullImages(
  {host, connection}: HostSession,
  references: readonly string[],
  {progress}: TaskContext,
): Promise<number> {
  if (references.length === 0) return 0;
  progress(`pulling ${references.length} images`);
  await runScript(connection, pullScript(references, host.runtime), {
    timeoutMs: PULL_TIMEOUT_MS,
    failure: {
      code: 'ERR_IMAGE_PULL_FAILED',
      tried: `pull images`,
      hint: `check that ${host.name} reaches the registry of spec.registry, then run the same command again`,
    },
  });
  return references.length;
}

/** `pull REFERENCE…` of each runtime: fails, with a word on stderr, at the first that is not there. */
const PULL: Readonly<Record<RuntimeName, string>> = {
  slipway: 'pull() { slipway-cri pull "$@" </dev/null >/dev/null; }',
  containerd: `
pull() {
  for reference in "$@"; do
    ctr -n k8s.io images pull --hosts-dir /etc/containerd/certs.d "$reference" </dev/null 2>&1 >/dev/null \\
      | grep -v 'level=warning' >&2
    ctr -n k8s.io images ls -q "name==$reference" | grep -qxF "$reference" || {
      echo "pull of $reference failed" >&2
      return 1
    }
  done
}`.trim(),
};

function pullScript(references: readonly string[], runtime: RuntimeName): string {
  const lanes = Array.from({length: PULLS_AT_ONCE}, (_, lane) =>
    references.filter((__, index) => index % PULLS_AT_ONCE === lane),
  ).filter(lane => lane.length > 0);
  return `
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
${PULL[runtime]}
pids=
${lanes.map(lane => `pull ${quote(lane)} & pids="$pids $!"`).join('\n')}
status=0
for pid in $pids; do wait "$pid" || status=1; done
exit $status`.trim();
}
