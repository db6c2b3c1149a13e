import {mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {run} from '#shared/local-process';
import {waitFor} from '#shared/wait-for';
import {formatYaml, parseYaml} from '#shared/yaml';
import {createLab} from '#lab/lab';
import {provision} from './command-line.ts';

/** The one lab of all e2e tests: this checkout's. */
export const lab = createLab();

/** The file that a user gives to `provision`. */
export const CLUSTER = lab.clusterFile;
/** Where hosts.yaml, keys and the lock file stand; variants of cluster.yaml go there, too. */
export const FOLDER = dirname(CLUSTER);

const {signal} = new AbortController();
const HOST_TIMEOUT_MS = 120_000;

/** Makes the lab, with that many hosts, and fills its registry; what is there stays. */
export async function raiseLab(hosts: number): Promise<void> {
  await must(['lab', 'up', '--hosts', String(hosts)]);
  await must(['artifacts']);
  await must(['images', 'push', CLUSTER, '--registry', 'http://10.89.0.2:5000']);
}

/** Runs a `provision` that has to succeed. */
export async function must(args: readonly string[]) {
  const finished = await provision(args);
  if (finished.exitCode === 0) return finished;
  const {exitCode, stdout, stderr} = finished;
  const tail = stdout.split('\n').slice(-12).join('\n');
  throw new Error(`provision ${args.join(' ')} ended with ${exitCode}:\n${tail}\n${stderr}`);
}

export interface HostCommandOptions {
  readonly user?: string;
  readonly input?: string;
}

/** Runs a shell script on a host by OpenSSH; its standard output without the last newline. */
export async function onHost(
  host: string,
  script: string,
  {user = 'root', input}: HostCommandOptions = {},
): Promise<string> {
  const argv = await lab.sshCommand(host, ['sh', '-c', script], user);
  const options = {signal, timeoutMs: HOST_TIMEOUT_MS, ...(input === undefined ? {} : {input})};
  const {exitCode, stdout, stderr} = await run(argv, options);
  if (exitCode === 0) return stdout.trimEnd();
  throw new Error(`${script} on ${host}: exit code ${exitCode}: ${stdout}${stderr}`);
}

/** The same script on several hosts at once, by host. */
export async function onHosts(
  hosts: readonly string[],
  script: string,
): Promise<Readonly<Record<string, string>>> {
  const entries = hosts.map(async host => [host, await onHost(host, script)] as const);
  return Object.fromEntries(await Promise.all(entries));
}

/** Calls `probe` until it returns something else than undefined. */
export async function eventually<T>(
  probe: () => Promise<T | undefined>,
  {timeoutMs = 60_000, intervalMs = 250} = {},
): Promise<T> {
  return await waitFor(probe, {signal, timeoutMs, intervalMs});
}

type Document = Record<string, unknown>;

/**
 * Writes a changed copy of a file of the lab beside it, so that what it names is found.
 *
 * @param change edits the parsed document, or returns the text of another
 */
export async function writeVariant(
  from: 'cluster.yaml' | 'hosts.yaml',
  to: string,
  change: (document: never) => unknown,
): Promise<string> {
  const file = join(FOLDER, from);
  const document = parseYaml(await readFile(file, 'utf8'), {file}).value as Document;
  const replaced = change(document as never);
  const path = join(FOLDER, to);
  await writeFile(path, typeof replaced === 'string' ? replaced : formatYaml(document));
  return path;
}

/** Gives a host another runtime than the others; the file survives what the lab writes. */
export async function setRuntime(host: string, runtime: string): Promise<void> {
  await mkdir(join(FOLDER, 'host_vars'), {recursive: true});
  await writeFile(varsFile(host), formatYaml({runtime}));
}

const varsFile = (host: string): string => join(FOLDER, 'host_vars', `${host}.yaml`);

/** Takes a host out of hosts.yaml, and out of the lab: it stays switched off. */
export async function removeFromInventory(host: string): Promise<void> {
  await writeVariant('hosts.yaml', 'hosts.yaml', document => {
    const {all} = document as {all: {hosts: Document; children: Record<string, {hosts: Document}>}};
    for (const {hosts} of [all, ...Object.values(all.children)]) {
      Reflect.deleteProperty(hosts, host);
    }
  });
  await rm(varsFile(host), {force: true});
  if ((await lab.status(signal)).hosts.some(({name}) => name === host)) {
    await must(['lab', 'crash', host]);
  }
}

/** Changes a value deep in a document; objects on the way are made. */
export function setKey(document: Document, path: string, value: unknown): void {
  const keys = path.split('.');
  const last = keys.pop() ?? '';
  let at = document;
  for (const key of keys) at = (at[key] ??= {}) as Document;
  at[last] = value;
}
