/** One run over the resources of one host, without an engine: plan, then phase after phase. */
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {sha256Hex} from '#shared/digest';
import type {Artifact, ArtifactName} from '#artifacts/artifact';
import {emptyHostState, type HostState, parseHostState} from '#provisioner/host-state/host-state';
import {HostRecord} from '#provisioner/host-state/host-record';
import {applyResources} from '#provisioner/phases/apply-resources';
import type {HostSession} from '#provisioner/phases/session';
import {type HostPlan, type PhaseResources, planHost} from '#provisioner/plan/host-plan';
import type {Change} from '#provisioner/resources/change';
import {parseProbe, probeScript} from '#provisioner/resources/probe';
import type {ArtifactResource, Resource} from '#provisioner/role/resource';
import type {Connection} from '#provisioner/transport/connection';
import {aHost} from './a-cluster.ts';
import {someFacts} from './some-facts.ts';
import type {FolderHost} from './folder-host.ts';

export interface HostRun {
  readonly plan: HostPlan;
  readonly changes: readonly Change[];
  readonly record: HostRecord;
}

export interface RunOptions {
  readonly connection?: Connection;
  readonly signal?: AbortSignal;
  readonly planOnly?: boolean;
  readonly deep?: boolean;
  readonly bootId?: string;
  readonly artifact?: (name: ArtifactName) => Promise<Artifact>;
  readonly progress?: (text: string) => void;
}

export function stateOf(host: FolderHost): HostState {
  if (!host.has('slipway/state.json')) return emptyHostState('lab');
  const state = parseHostState(host.read('slipway/state.json'));
  if (state === undefined) throw new Error('state.json cannot be read');
  return state;
}

/** One phase is enough for most tests. */
export const only = (...resources: readonly Resource[]): readonly PhaseResources[] => [
  {phase: 'only', resources},
];

/** Plans and applies phases on a folder; the state is the one that the folder holds. */
export async function runOn(
  host: FolderHost,
  wanted: readonly PhaseResources[],
  options: RunOptions = {},
): Promise<HostRun> {
  const {connection = host.connection(), bootId = 'boot-1', deep = false} = options;
  const state = stateOf(host);
  const resources = wanted.flatMap(each => each.resources);
  const {signal} = new AbortController();
  const {stdout} = await connection.run(probeScript(resources, {state, bootId, deep}), {signal});
  const plan = planHost('h1', wanted, {probe: parseProbe(stdout), state});
  const record = new HostRecord(connection, state);
  const changes = plan.phases.flatMap(phase => phase.changes.map(({change}) => change));
  if (options.planOnly === true) return {plan, changes, record};
  const session: HostSession = {
    host: aHost('h1'),
    connection,
    facts: someFacts({bootId}),
    record,
  };
  const artifact = options.artifact ?? (name => Promise.resolve(artifactIn(host, name)));
  const context = {
    signal: options.signal ?? signal,
    progress: options.progress ?? (() => undefined),
  };
  for (const phase of plan.phases) {
    const shared = {artifact, plans: new Map([['h1', plan]])};
    await applyResources(shared, session, phase, context);
  }
  return {plan, changes, record};
}

const contentOf = (name: string): string => `#!/bin/sh\n# the program ${name}\n`.repeat(500);

function artifactIn(host: FolderHost, name: ArtifactName): Artifact {
  const path = join(host.root, 'bin', `artifact-${name}`);
  const content = contentOf(name);
  writeFileSync(path, content);
  const sizeBytes = Buffer.byteLength(content);
  return {name, version: '1.0', arch: 'amd64', sha256: sha256Hex(content), sizeBytes, path};
}

/** What a host of `runOn` must have to hold the program that `artifactIn` gives out. */
export function anArtifact(path: string, name = 'runc'): ArtifactResource {
  const content = contentOf(name);
  const sizeBytes = Buffer.byteLength(content);
  const sha256 = sha256Hex(content);
  return {kind: 'artifact', path, artifact: name, version: '1.0', sha256, sizeBytes, mode: 0o755};
}
