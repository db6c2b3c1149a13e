import {CodedError} from '#shared/errors';
import {quote} from '#shared/quote';
import type {TaskContext} from '../engine/graph.ts';
import type {ProvisionerErrorCode} from '../errors.ts';
import {LIST_IMAGES, parseImages} from '../facts/host-images.ts';
import type {RuntimeName} from '../role/cluster.ts';
import {runScript} from './run-script.ts';
import type {HostSession} from './session.ts';

const PULL_TIMEOUT_MS = 15 * 60_000;
const PULLS_AT_ONCE = 3;

export interface PullJob {
  readonly references: readonly string[];
  /** What has to be there afterwards, by reference. */
  readonly digests: ReadonlyMap<string, string>;
}

/**
 * Pulls images through the host's own runtime, a few at a time, so that pods find them there.
 *
 * @throws CodedError ERR_IMAGE_PULL_FAILED, ERR_IMAGE_DIGEST_MISMATCH, ERR_DISK_FULL and those of the connection
 */
export async function pullImages(
  {host, connection}: HostSession,
  {references, digests}: PullJob,
  {progress}: Pick<TaskContext, 'progress'>,
): Promise<number> {
  progress(`pulling ${references.length} images`);
  const {stdout} = await runScript(connection, pullScript(references, host.runtime), {
    timeoutMs: PULL_TIMEOUT_MS,
    failure: {
      code: 'ERR_IMAGE_PULL_FAILED',
      tried: `pull images`,
      hint: `check that ${host.name} reaches the registry of spec.registry, then run the same command again`,
    },
  });
  const found = parseImages(stdout.split('\n').map(line => line.split('\t'))) ?? [];
  const other = references.filter(reference => {
    const digest = digests.get(reference) ?? '';
    return !found.some(image => image.reference === reference && image.digests.includes(digest));
  });
  if (other.length === 0) return references.length;
  throw new CodedError<ProvisionerErrorCode>(
    'ERR_IMAGE_DIGEST_MISMATCH',
    `${host.name}: what was pulled is not what the registry had a moment ago: ${other.join(', ')}`,
    {hint: 'see who pushes to the registry meanwhile, then run the same command again'},
  );
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
[ $status = 0 ] || exit $status
${LIST_IMAGES[runtime]}`.trim();
}
