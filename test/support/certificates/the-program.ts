import {spawn, type ChildProcess} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {buildCertificatesBundle} from '#certificates/build';
import {imageCatalogue} from '#artifacts/images/image-catalogue';
import {waitFor} from '#shared/wait-for';

export type LogLine = Readonly<Record<string, unknown>>;

/** slipway-certs as its image runs it: the bundle, on the plain Node binary, with an empty environment. */
export interface Program extends AsyncDisposable {
  readonly pid: number;
  /** Every line of its log so far. */
  readonly lines: readonly LogLine[];
  /** What it wrote that was no JSON. */
  readonly other: readonly string[];
  /** Waits for a line with this message. */
  readonly logged: (message: string) => Promise<LogLine>;
  readonly metrics: () => Promise<string>;
  /** The answer's status, and its text. */
  readonly health: (path: string) => Promise<string>;
  /** In KiB, of `VmRSS` and `VmHWM`. */
  readonly memory: () => {readonly rssKiB: number; readonly peakKiB: number};
  /** CPU time so far, user and system. */
  readonly cpuSeconds: () => number;
  /** SIGTERM, and its exit code. */
  readonly end: () => Promise<number | null>;
}

export interface ProgramOptions {
  /** Folder with the bundle ({@link buildProgram}). */
  readonly folder: string;
  readonly kubeconfigPath: string;
  readonly flags?: readonly string[];
  readonly identity?: string;
  /** Further ones of Node, e.g. for a profile. */
  readonly nodeFlags?: readonly string[];
  readonly signal: AbortSignal;
}

const WAIT_MS = 120_000;
/** proc(5): USER_HZ is 100 on every architecture that we run on. */
const TICKS_PER_SECOND = 100;

export async function buildProgram(folder: string): Promise<void> {
  await buildCertificatesBundle(folder);
}

/** Starts it with the flags of the image; it listens on loopback, on ports of the kernel's choice. */
export function startProgram(options: ProgramOptions): Program {
  const {folder, kubeconfigPath, flags = [], identity = 'test', nodeFlags = [], signal} = options;
  const {entrypoint = [], environment = {}} = imageCatalogue.certificates;
  const argv = [
    ...entrypoint.slice(1, -1),
    ...nodeFlags,
    join(folder, 'slipway-certs.mjs'),
    `--kubeconfig=${kubeconfigPath}`,
    '--metrics-listen-address=127.0.0.1:0',
    '--internal-healthz-listen-address=127.0.0.1:0',
    ...flags,
  ];
  const child = spawn(process.execPath, argv, {
    cwd: folder,
    env: {...environment, POD_NAME: identity},
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  return watch(child, signal);
}

function watch(child: ChildProcess, signal: AbortSignal): Program {
  const lines: LogLine[] = [];
  const other: string[] = [];
  const exited = new Promise<number | null>(resolve => child.once('exit', resolve));
  if (child.stderr !== null) {
    createInterface({input: child.stderr}).on('line', line => {
      if (line.startsWith('{')) lines.push(JSON.parse(line) as LogLine);
      else other.push(line);
    });
  }
  const logged = (message: string): Promise<LogLine> =>
    waitFor(
      () => {
        const found = lines.find(line => line['message'] === message);
        if (found === undefined && child.exitCode !== null) {
          throw new Error(`it ended with ${child.exitCode}: ${other.join('\n')}`);
        }
        return Promise.resolve(found);
      },
      {signal, timeoutMs: WAIT_MS, intervalMs: 20},
    );
  const ask = async (kind: 'metrics' | 'health', path: string): Promise<Response> => {
    const address = (await logged('started'))[kind] as string;
    return await fetch(`http://${address}${path}`);
  };
  const pid = child.pid ?? 0;
  const proc = (name: string): string => readFileSync(`/proc/${pid}/${name}`, 'utf8');
  return {
    pid,
    lines,
    other,
    logged,
    metrics: async () => await (await ask('metrics', '/metrics')).text(),
    health: async path => {
      const answer = await ask('health', path);
      return `${answer.status} ${(await answer.text()).trim()}`;
    },
    memory: () => {
      const status = proc('status');
      const field = (name: string): number =>
        Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]);
      return {rssKiB: field('VmRSS'), peakKiB: field('VmHWM')};
    },
    cpuSeconds: () => {
      const [user = 0, system = 0] = (proc('stat').split(') ').at(-1) ?? '')
        .split(' ')
        .slice(11, 13)
        .map(Number);
      return (user + system) / TICKS_PER_SECOND;
    },
    end: async () => {
      child.kill('SIGTERM');
      return await exited;
    },
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await exited;
    },
  };
}
