import {formatTable} from '#shared/table';
import {CodedError} from '#shared/errors';

/** The columns of the proof, in the order in which they are shown. */
export const proofChecks = [
  'ready',
  'version',
  'runtime',
  'pod',
  'exec',
  'logs',
  'service',
  'pods',
  'nodeports',
] as const;

export type ProofCheck = (typeof proofChecks)[number];

export interface Cell {
  readonly state: 'ok' | 'failed';
  /** What was found; for a failure, why. */
  readonly detail: string;
}

/** One row: what was checked from or about one node. */
export interface NodeProof {
  readonly node: string;
  readonly cells: Readonly<Partial<Record<ProofCheck, Cell>>>;
}

/** One DaemonSet or Deployment of the cluster's own namespaces. */
export interface WorkloadProof {
  readonly workload: string; // `DaemonSet kube-flannel/kube-flannel`
  readonly cell: Cell;
}

/** One issuer of cluster.yaml. */
export interface IssuerProof {
  readonly issuer: string; // `ClusterIssuer/ca`
  readonly cells: {
    readonly ready?: Cell;
    /** A throw-away certificate; absent where none was asked for. */
    readonly certificate?: Cell;
  };
}

/** A node of the API that is no host of the inventory. */
export interface StrangerNode {
  readonly node: string;
  readonly ready: boolean;
}

export interface ProofResult {
  readonly nodes: readonly NodeProof[]; // sorted by name
  readonly workloads: readonly WorkloadProof[]; // sorted by name
  /** In the order of cluster.yaml. */
  readonly issuers: readonly IssuerProof[];
  /** Not judged, but told. */
  readonly strangers: readonly StrangerNode[]; // sorted by name
}

/** One cell that failed, with the words to find it. */
export interface ProofFailure {
  readonly subject: string; // `h2 pods` or `DaemonSet kube-system/kube-proxy`
  readonly detail: string;
}

/** The cluster does not do what it should; the table comes with it. */
export class ProofFailedError extends CodedError<'ERR_PROOF_FAILED'> {
  readonly result: ProofResult;

  constructor(result: ProofResult) {
    const failures = failuresOf(result);
    const shown = failures
      .slice(0, FAILURES_SHOWN_MAX)
      .map(({subject, detail}) => `${subject}: ${detail}`);
    const rest = failures.length - shown.length;
    if (rest > 0) shown.push(`and ${rest} more`);
    super('ERR_PROOF_FAILED', `the proof failed: ${shown.join('; ')}`, {
      hint: 'look at the pods of that node: "provision kubectl get pods -A -o wide", then run "provision verify" again',
    });
    this.result = result;
  }
}

/** In one message; the table has all. */
const FAILURES_SHOWN_MAX = 5;

/** Every failed cell, nodes first. */
export function failuresOf({nodes, workloads, issuers}: ProofResult): readonly ProofFailure[] {
  return [
    ...nodes.flatMap(({node, cells}) =>
      proofChecks.flatMap(check => {
        const cell = cells[check];
        return cell?.state === 'failed' ? [{subject: `${node} ${check}`, detail: cell.detail}] : [];
      }),
    ),
    ...workloads
      .filter(({cell}) => cell.state === 'failed')
      .map(({workload, cell}) => ({subject: workload, detail: cell.detail})),
    ...issuers.flatMap(({issuer, cells}) =>
      Object.entries(cells)
        .filter(([, {state}]) => state === 'failed')
        .map(([check, {detail}]) => ({subject: `${issuer} ${check}`, detail})),
    ),
  ];
}

/**
 * Hands a result on that has no failed cell.
 *
 * @throws ProofFailedError
 */
export function requireProven(result: ProofResult): ProofResult {
  if (failuresOf(result).length > 0) throw new ProofFailedError(result);
  return result;
}

/** The rows of several parts of the proof as one: later parts add cells to the same nodes. */
export function mergeNodeProofs(parts: readonly (readonly NodeProof[])[]): readonly NodeProof[] {
  const cells = new Map<string, NodeProof['cells']>();
  for (const {node, cells: added} of parts.flat()) {
    cells.set(node, {...cells.get(node), ...added});
  }
  return [...cells]
    .map(([node, merged]) => ({node, cells: merged}))
    .sort((a, b) => (a.node < b.node ? -1 : 1));
}

/** The result as text of several lines: nodes × checks, workloads, and what failed in words. */
export function formatProof(result: ProofResult): string {
  const columns = proofChecks.filter(check => result.nodes.some(({cells}) => cells[check]));
  const nodes = formatTable(
    ['NODE', ...columns.map(check => check.toUpperCase())],
    result.nodes.map(({node, cells}) => [node, ...columns.map(check => formatCell(cells[check]))]),
  );
  const workloads = formatTable(
    ['WORKLOAD', 'AVAILABLE'],
    result.workloads.map(({workload, cell}) => [workload, formatCell(cell)]),
  );
  const issuers = formatTable(
    ['ISSUER', 'READY', 'CERTIFICATE'],
    result.issuers.map(({issuer, cells}) => [
      issuer,
      formatCell(cells.ready),
      formatCell(cells.certificate),
    ]),
  );
  const failures = failuresOf(result).map(({subject, detail}) => `failed: ${subject}: ${detail}`);
  const strangers = result.strangers.map(
    ({node, ready}) =>
      `note: node ${node} (${ready ? 'Ready' : 'not Ready'}) is not in the inventory: put it back, or take it out of the cluster: provision kubectl drain ${node} --ignore-daemonsets && provision kubectl delete node ${node}`,
  );
  const notes = [...failures, ...strangers];
  const tables = [nodes, '', workloads, ...(result.issuers.length > 0 ? ['', issuers] : [])];
  return [...tables, ...(notes.length > 0 ? ['', ...notes] : [])].map(line => `${line}\n`).join('');
}

function formatCell(cell: Cell | undefined): string {
  if (cell === undefined) return '-';
  return cell.state === 'ok' ? cell.detail : 'FAILED';
}
