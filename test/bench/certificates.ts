// npm run bench:certificates: the controller's bundle against an API server of its own, nothing else.
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {certificates} from '#certificates/apis/resources';
import {kubeconfigCredentials} from '#certificates/kube/kubeconfig';
import {openHttpPool} from '#certificates/kube/http-transport';
import {mapLimited} from '#shared/map-limited';
import {formatTable} from '#shared/table';
import {openControllerSite, type ControllerSite} from '#test/certificates/a-controller';
import {buildProgram, type Program, startProgram} from '#test/certificates/the-program';
import {readCounts, type RequestCounts, writesBetween} from './certificates/request-counts.ts';
import {type ReadyWatch, watchReady} from './certificates/ready-watch.ts';

interface Line {
  readonly measure: string;
  readonly unit: string;
  readonly value: number;
  /** What is wanted; none: shown only. */
  readonly goal?: {readonly atLeast?: number; readonly atMost?: number};
}

/** DESIGN §6. */
const GOALS: Readonly<Record<string, NonNullable<Line['goal']>>> = {
  'ECDSA, to Ready': {atLeast: 20},
  'ECDSA, writes per certificate': {atMost: 8},
  'held, memory': {atMost: 300},
  'restart, writes': {atMost: 0},
  'restart, memory': {atMost: 300},
};
/** Objects that are created at the same time. */
const CREATORS = 8;
/** After a restart the controller has seen everything long before; nothing may follow. */
const QUIET_MS = 15_000;
/** A stage of 10,000 at 10 per second. */
const STAGE_MS = 30 * 60_000;

const {values} = parseArgs({
  options: {
    ecdsa: {type: 'string', default: '400'},
    rsa: {type: 'string', default: '60'},
    held: {type: 'string', default: '10000'},
    workers: {type: 'string', default: '5'},
    output: {type: 'string', default: 'text'},
    /** Folder for CPU profiles of the controller, for Chrome's developer tools. */
    profile: {type: 'string'},
  },
});
const controller = new AbortController();
process.on('SIGINT', () => {
  controller.abort(new Error('interrupted'));
});
const {signal} = controller;
const lines: Line[] = [];

const folder = await mkdtemp(join(tmpdir(), 'slipway-bench-'));
try {
  await using site = await openControllerSite({signal});
  await buildProgram(folder);
  await writeFile(join(folder, 'kubeconfig'), site.server.kubeconfig, {mode: 0o600});
  await run(site);
} finally {
  await rm(folder, {recursive: true, force: true});
}
report();

async function run(site: ControllerSite): Promise<void> {
  const namespace = await site.namespace();
  const credentials = kubeconfigCredentials(site.server.kubeconfig);
  const pool = openHttpPool({credentials, userAgent: 'bench', timeoutMs: 30_000, connections: 1});
  await using closing = new AsyncDisposableStack();
  closing.defer(() => pool.close());
  const counts = () => readCounts(pool, signal);
  await using watch = await watchReady(site.client, namespace, signal);
  {
    await using program = await start();
    line('idle, memory', 'MiB', rssMiB(program));
    await createIssuers(site, namespace);
    await watch.count(1);
    const ecdsa = {site, namespace, program, watch, counts, algorithm: 'ECDSA'} as const;
    await stage({...ecdsa, name: 'ECDSA', number: Number(values.ecdsa)});
    await stage({...ecdsa, name: 'RSA', algorithm: 'RSA', number: Number(values.rsa)});
    const missing = Math.max(0, Number(values.held) - watch.ready());
    if (missing > 0) await stage({...ecdsa, name: 'ECDSA, long', number: missing});
    await program.metrics();
    line('held', 'Certificates', watch.ready());
    line('held, memory', 'MiB', rssMiB(program));
    line('held, highest memory', 'MiB', program.memory().peakKiB / 1024);
    await program.end();
  }
  const before = await counts();
  await using program = await start();
  const {readMs} = await program.logged('working');
  await quiet();
  const {writes} = writesBetween(before, await counts());
  line('restart, read', 'ms', Number(readMs));
  line('restart, writes', '', writes);
  line('restart, memory', 'MiB', rssMiB(program));
  line('restart, highest memory', 'MiB', program.memory().peakKiB / 1024);
  line('restart, CPU', 's', program.cpuSeconds());
  await program.end();
}

interface Stage {
  readonly name: string;
  readonly number: number;
  readonly algorithm: 'ECDSA' | 'RSA';
  readonly site: ControllerSite;
  readonly namespace: string;
  readonly program: Program;
  readonly watch: ReadyWatch;
  readonly counts: () => Promise<RequestCounts>;
}

/** Creates Certificates of a CA issuer as fast as the API takes them, until all are Ready. */
async function stage({
  name,
  number,
  algorithm,
  site,
  namespace,
  program,
  watch,
  counts,
}: Stage): Promise<void> {
  if (number === 0) return;
  say(`${name}: ${number} Certificates`);
  const before = await counts();
  const cpuBefore = program.cpuSeconds();
  const ready = watch.count(watch.ready() + number);
  const startedAt = performance.now();
  const label = name.toLowerCase().replaceAll(/[^a-z]+/g, '-');
  const names = Array.from({length: number}, (_, index) => `${label}-${index}`);
  await mapLimited(names, CREATORS, async each => {
    signal.throwIfAborted();
    const object = certificate(namespace, each, algorithm);
    await site.client.create(certificates, object, {signal});
  });
  const createdAt = performance.now();
  const seconds = ((await withinStage(ready)) - startedAt) / 1000;
  const after = await settledCounts(counts);
  const {writes, events, by} = writesBetween(before, after);
  line(`${name}, to Ready`, 'per second', number / seconds);
  line(`${name}, created`, 'per second', number / ((createdAt - startedAt) / 1000));
  line(`${name}, writes per certificate`, '', writes / number);
  line(`${name}, events per certificate`, '', events / number);
  line(`${name}, CPU per certificate`, 'ms', ((program.cpuSeconds() - cpuBefore) / number) * 1000);
  say(JSON.stringify(by));
}

function certificate(namespace: string, name: string, algorithm: 'ECDSA' | 'RSA') {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'Certificate',
    metadata: {name, namespace},
    spec: {
      secretName: name,
      dnsNames: [`${name}.example.org`, `www.${name}.example.org`],
      issuerRef: {name: 'ca'},
      privateKey: {algorithm},
    },
  } as const;
}

async function createIssuers(site: ControllerSite, namespace: string): Promise<void> {
  const issuer = (name: string, spec: object) => ({
    apiVersion: 'cert-manager.io/v1',
    kind: 'Issuer',
    metadata: {name, namespace},
    spec,
  });
  const {spec, ...ca} = certificate(namespace, 'ca', 'ECDSA');
  await site.apply(
    issuer('own', {selfSigned: {}}),
    {...ca, spec: {...spec, isCA: true, commonName: 'bench', issuerRef: {name: 'own'}}},
    issuer('ca', {ca: {secretName: 'ca'}}),
  );
  await site.issuer({namespace, name: 'ca'}, ({status}) =>
    (status?.conditions ?? []).some(({type, status: is}) => type === 'Ready' && is === 'True'),
  );
}

async function start(): Promise<Program> {
  const program = startProgram({
    folder,
    kubeconfigPath: join(folder, 'kubeconfig'),
    flags: [`--concurrent-workers=${values.workers}`],
    nodeFlags:
      values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`],
    signal,
  });
  await program.logged('working');
  return program;
}

/** Temporary keys are deleted, and events sent, after the last Certificate is Ready. */
async function settledCounts(counts: () => Promise<RequestCounts>): Promise<RequestCounts> {
  let last = await counts();
  for (;;) {
    await pause(2_000);
    const next = await counts();
    const {writes, events} = writesBetween(last, next);
    if (writes + events === 0) return next;
    last = next;
  }
}

async function quiet(): Promise<void> {
  await pause(QUIET_MS);
}

async function pause(ms: number): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, ms));
  signal.throwIfAborted();
}

async function withinStage<T>(work: Promise<T>): Promise<T> {
  const timer = setTimeout(() => {
    controller.abort(new Error(`a stage takes longer than ${STAGE_MS / 60_000} minutes`));
  }, STAGE_MS);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

function rssMiB(program: Program): number {
  return program.memory().rssKiB / 1024;
}

function line(measure: string, unit: string, value: number): void {
  const goal = GOALS[measure];
  lines.push({measure, unit, value, ...(goal === undefined ? {} : {goal})});
  say(`${measure}: ${value.toFixed(2)} ${unit}`);
}

function say(text: string): void {
  console.error(text);
}

function report(): void {
  if (values.output === 'json') {
    console.log(JSON.stringify({version: 1, lines}, undefined, 2));
    return;
  }
  const rows = lines.map(({measure, unit, value, goal}) => [
    measure,
    unit,
    value.toFixed(2),
    goal === undefined ? '' : verdict(value, goal),
  ]);
  console.log(formatTable(['MEASURE', 'UNIT', 'VALUE', 'GOAL'], rows));
}

function verdict(value: number, {atLeast, atMost}: NonNullable<Line['goal']>): string {
  const met = value >= (atLeast ?? -Infinity) && value <= (atMost ?? Infinity);
  const wanted = atLeast === undefined ? `≤ ${String(atMost)}` : `≥ ${atLeast}`;
  return `${wanted} ${met ? 'met' : 'missed'}`;
}
