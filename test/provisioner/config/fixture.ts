import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import type {Cluster} from '#provisioner/role/cluster';
import {loadCluster, type LoadOptions} from '#provisioner/config/load';
import {ConfigurationError} from '#provisioner/config/problem';
import {writeFileAtomic} from '#shared/files';
import {formatYaml} from '#shared/yaml';

/** Files by path; what is not a text is written as YAML. */
export type Files = Readonly<Record<string, unknown>>;

/** The least that loads: one control plane, one worker. */
export const minimal = {
  apiVersion: 'provision.dev/v1',
  kind: 'Cluster',
  metadata: {name: 'lab'},
  spec: {kubernetes: {version: '1.36.3'}},
} as const;

export const twoHosts = {
  all: {
    children: {
      kube_control_plane: {hosts: {h1: {address: '10.89.0.11'}}},
      kube_node: {hosts: {h2: {address: '10.89.0.12'}}},
    },
  },
} as const;

export const defaults: Files = {'cluster.yaml': minimal, 'hosts.yaml': twoHosts};

/** `minimal` with some keys of its spec. */
export function withSpec(spec: Readonly<Record<string, unknown>>): unknown {
  return {...minimal, spec: {...minimal.spec, ...spec}};
}

/** Loads cluster.yaml from a fresh directory that holds the given files; undefined removes one. */
export async function load(
  t: ExecutionContext,
  files: Files = {},
  options: Pick<LoadOptions, 'environment' | 'secrets' | 'now'> = {},
): Promise<Cluster> {
  const directory = await writeFiles(t, {...defaults, ...files});
  return loadCluster({
    file: join(directory, 'cluster.yaml'),
    homeDirectory: join(directory, 'home'),
    environment: {},
    ...options,
  });
}

export async function writeFiles(t: ExecutionContext, files: Files): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'config-'));
  t.teardown(() => rm(directory, {recursive: true}));
  for (const [path, content] of Object.entries(files)) {
    if (content === undefined) continue;
    const text = typeof content === 'string' ? content : formatYaml(content);
    await writeFileAtomic(join(directory, path), text, {
      mode: path.includes('id_') ? 0o600 : 0o644,
    });
  }
  return directory;
}

/** The problems as `CODE file path`, files relative to the directory, in the order reported. */
export async function problemsOf(t: ExecutionContext, files: Files): Promise<readonly string[]> {
  return (await placedProblemsOf(t, files)).map(line => line.replace(/:\d+(?= |$)/, ''));
}

/** The same with lines: `CODE file:line path`. */
export async function placedProblemsOf(
  t: ExecutionContext,
  files: Files,
): Promise<readonly string[]> {
  const error = await t.throwsAsync(load(t, files), {instanceOf: ConfigurationError});
  return error.problems.map(({code, file, line, path}) => {
    const name = file.replace(/^.*\/config-[^/]+\//, '');
    return `${code} ${name}${line === undefined ? '' : `:${line}`} ${path}`.trim();
  });
}
