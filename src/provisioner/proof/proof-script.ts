import type {Cell} from './proof-result.ts';

/** One request that a pod makes. */
export interface Target {
  readonly check: 'service' | 'pods' | 'nodeports';
  readonly name: string; // what people call it: a node, or the Service
  readonly url: string;
  /** The page that must be answered; undefined when any pod may answer. */
  readonly expected: string | undefined;
}

/** How long a pod repeats its requests: kube-proxy programs a new Service within seconds. */
export const REQUESTS_TIMEOUT_SECONDS = 20;
/** One request; a lost packet is sent again after 1 s. */
const REQUEST_TIMEOUT_SECONDS = 2;

/** Up to here every node talks to every other. */
const ALL_PAIRS_NODES_MAX = 20;
/** Beyond, each talks to the next few in a ring: together they still cover every node. */
const RING_NEIGHBOURS = 3;

/** The other nodes that one node talks to. */
export function neighboursOf<T>(nodes: readonly T[], index: number): readonly T[] {
  const others = [...nodes.slice(index + 1), ...nodes.slice(0, index)];
  return nodes.length <= ALL_PAIRS_NODES_MAX ? others : others.slice(0, RING_NEIGHBOURS);
}

/**
 * A script for busybox's sh that makes all requests at once and repeats each until it is answered
 * or the time is over. It prints a line per target: index, `ok` or `failed`, detail; by tabs.
 */
export function requestScript(targets: readonly Target[]): string {
  return [
    `end=$(($(date +%s) + ${REQUESTS_TIMEOUT_SECONDS}))`,
    'ask() {',
    '  while :; do',
    `    if out=$(wget -q -T ${REQUEST_TIMEOUT_SECONDS} -O - "$2" 2>&1); then`,
    '      if [ -z "$3" ] || [ "$out" = "$3" ]; then state=ok; break; fi',
    '      out="answered by $out"',
    '    fi',
    '    if [ "$(date +%s)" -ge "$end" ]; then state=failed; break; fi',
    '    sleep 0.2',
    '  done',
    String.raw`  printf '%s\t%s\t%s\n' "$1" "$state" "$(printf %s "$out" | tr '\n\t' '  ')"`,
    '}',
    ...targets.map(
      ({url, expected}, index) => `ask ${index} ${quote(url)} ${quote(expected ?? '')} &`,
    ),
    'wait',
  ].join('\n');
}

/** One cell per check from the script's output; a target without a line counts as failed. */
export function judgeRequests(
  targets: readonly Target[],
  stdout: string,
): Readonly<Record<Target['check'], Cell>> {
  const answers = new Map(
    stdout.split('\n').map(line => {
      const [index = '', state = '', detail = ''] = line.split('\t');
      return [index, {state, detail}] as const;
    }),
  );
  const judge = (check: Target['check']): Cell => {
    const own = targets
      .map((target, index) => ({target, answer: answers.get(`${index}`)}))
      .filter(({target}) => target.check === check);
    const failed = own.filter(({answer}) => answer?.state !== 'ok');
    if (failed.length === 0) return {state: 'ok', detail: `${own.length}/${own.length}`};
    const reasons = failed.map(
      ({target, answer}) => `${target.name} (${target.url}): ${answer?.detail ?? 'not tried'}`,
    );
    return {state: 'failed', detail: reasons.join(', ')};
  };
  return {service: judge('service'), pods: judge('pods'), nodeports: judge('nodeports')};
}

/** The same failure for all three, when the script could not be run. */
export function requestsNotMade(reason: string): Readonly<Record<Target['check'], Cell>> {
  const cell = {state: 'failed', detail: reason} as const;
  return {service: cell, pods: cell, nodeports: cell};
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
