import {type ArtifactName} from '#artifacts/artifact';
import {isMember} from '../plan/action-plan.ts';
import {planHost, type HostPlan} from '../plan/host-plan.ts';
import {runScript} from '../phases/run-script.ts';
import type {HostSession} from '../phases/session.ts';
import {parseProbe, probeScript} from '../resources/probe.ts';
import {type ArtifactFact, isFor} from '../role/role.ts';
import type {Artifacts, Environment} from './environment.ts';

/** Names of all artifacts that the roles of this cluster's hosts ask for. */
const artifactNames = ({
  cluster,
  rolesByPhase,
}: Pick<Environment, 'cluster' | 'rolesByPhase'>): readonly ArtifactName[] => {
  const roles = Object.values(rolesByPhase)
    .flat()
    .filter(role => cluster.hosts.some(host => isFor(role, host)));
  // Roles name entries of the catalogue; one that is not there fails when it is resolved.
  return [...new Set(roles.flatMap(role => role.artifacts ?? []))] as readonly ArtifactName[];
};

/** Version and digest of every artifact that a role may ask for; builds what is not there yet. */
export async function resolveArtifacts(
  environment: Environment,
  artifacts: Artifacts,
): Promise<(name: string) => ArtifactFact> {
  const all = await Promise.all(artifactNames(environment).map(artifacts.artifact));
  const facts = new Map<string, ArtifactFact>(
    all.map(({name, version, sha256, sizeBytes}) => [name, {version, sha256, sizeBytes}]),
  );
  return name => {
    const fact = facts.get(name);
    if (fact === undefined) throw new TypeError(`no role announced the artifact ${name}`);
    return fact;
  };
}

/** What differs on one host: roles say what must be, one round trip says what is. */
export async function planOneHost(
  {cluster, rolesByPhase, render, options}: Environment,
  {host, facts, record, connection}: HostSession,
  artifact: (name: string) => ArtifactFact,
): Promise<HostPlan> {
  const {state} = record;
  const input = {cluster, host, facts, isMember: isMember(state), artifact, render};
  const desired = Object.entries(rolesByPhase).map(([phase, roles]) => ({
    phase,
    resources: roles.filter(role => isFor(role, host)).flatMap(role => role.resources(input)),
  }));
  const all = desired.flatMap(({resources}) => resources);
  const script = probeScript(all, {state, bootId: facts.bootId, deep: options.deep});
  const {stdout} = await runScript(connection, script, {
    failure: {
      code: 'ERR_HOST_FACTS_FAILED',
      tried: 'read the present state',
      hint: `log in to ${host.name} and look whether it is healthy`,
    },
  });
  return planHost(host.name, desired, {probe: parseProbe(stdout), state});
}
