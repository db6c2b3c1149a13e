import {spawn, type ChildProcess} from 'node:child_process';
import {generateKeyPairSync, randomBytes} from 'node:crypto';
import {mkdtempSync, openSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {connectKubernetes} from '#shared/kube/connect';
import {waitFor} from '#shared/wait-for';
import {formatYaml} from '#shared/yaml';
import {openArtifactStore} from '#artifacts/store';
import {freePort} from './free-port.ts';

/** A kube-apiserver and its etcd on loopback, with no controllers and no nodes. */
export interface ApiServer extends AsyncDisposable {
  readonly port: number;
  /** Of an administrator; it trusts this server alone. */
  readonly kubeconfig: string;
  /** The same with another token or server. */
  readonly kubeconfigWith: (changes: {token?: string; server?: string}) => string;
  /** PEM of the serving certificate and its key, good for 127.0.0.1. */
  readonly serving: {readonly cert: string; readonly key: string};
  readonly directory: string;
}

export interface ApiServerOptions {
  readonly signal: AbortSignal;
  /** Further flags of kube-apiserver. */
  readonly flags?: readonly string[];
}

const START_TIMEOUT_MS = 60_000;

/** Programs come from the artifact cache, or are compiled into it. */
export async function startApiServer({signal, flags = []}: ApiServerOptions): Promise<ApiServer> {
  const store = await openArtifactStore({source: 'packages', signal});
  const etcd = (await store.artifact('etcd')).path;
  const kubeApiserver = (await store.artifact('kube-apiserver')).path;

  const directory = mkdtempSync(join(tmpdir(), 'api-server-'));
  const [client, peer, port] = await Promise.all([freePort(), freePort(), freePort()]);
  const token = randomBytes(16).toString('hex');
  const key = generateKeyPairSync('ec', {namedCurve: 'P-256'}).privateKey;
  writeFileSync(join(directory, 'sa.key'), key.export({type: 'sec1', format: 'pem'}));
  writeFileSync(join(directory, 'tokens.csv'), `${token},admin,1,"system:masters"\n`, {
    mode: 0o600,
  });
  const children = [
    startProcess(directory, 'etcd', etcd, etcdArguments(directory, client, peer)),
    startProcess(directory, 'kube-apiserver', kubeApiserver, [
      `--etcd-servers=http://127.0.0.1:${client}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--secure-port=${port}`,
      `--cert-dir=${directory}/certs`,
      `--service-account-key-file=${directory}/sa.key`,
      `--service-account-signing-key-file=${directory}/sa.key`,
      '--service-account-issuer=https://kubernetes.default.svc',
      '--authorization-mode=RBAC',
      `--token-auth-file=${directory}/tokens.csv`,
      '--service-cluster-ip-range=10.96.0.0/16',
      '--endpoint-reconciler-type=none',
      ...flags,
    ]),
  ];
  const stop = async (): Promise<void> => {
    await Promise.all(children.map(kill));
    rmSync(directory, {recursive: true, force: true});
  };
  try {
    const read = (name: string): string =>
      readFileSync(join(directory, 'certs', `apiserver.${name}`), 'utf8');
    const kubeconfigWith = (changes: {token?: string; server?: string}): string =>
      formatKubeconfig({
        authority: read('crt'),
        server: changes.server ?? `https://127.0.0.1:${port}`,
        token: changes.token ?? token,
      });
    await waitUntilReady(() => kubeconfigWith({}), signal);
    return {
      port,
      kubeconfig: kubeconfigWith({}),
      kubeconfigWith,
      serving: {cert: read('crt'), key: read('key')},
      directory,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Starts a program whose output goes to a file beside its data. */
export function startProcess(
  directory: string,
  name: string,
  path: string,
  argv: readonly string[],
): ChildProcess {
  const log = openSync(join(directory, `${name}.log`), 'a');
  return spawn(path, argv, {stdio: ['ignore', log, log]});
}

/** SIGKILL: the data is thrown away, so there is nothing to end in good order. */
export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise(resolve => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

function etcdArguments(directory: string, client: number, peer: number): readonly string[] {
  const [clientUrl, peerUrl] = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`];
  return [
    `--data-dir=${directory}/etcd`,
    `--listen-client-urls=${clientUrl}`,
    `--advertise-client-urls=${clientUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
    '--unsafe-no-fsync',
    '--log-level=error',
  ];
}

async function waitUntilReady(kubeconfig: () => string, signal: AbortSignal): Promise<void> {
  await waitFor(
    async limited => {
      try {
        await using api = await connectKubernetes({kubeconfig: kubeconfig(), signal: limited});
        return (await api.isReady({signal: limited})) ? true : undefined;
      } catch {
        return undefined; // its certificate is not written yet
      }
    },
    {signal, timeoutMs: START_TIMEOUT_MS},
  );
}

interface Kubeconfig {
  readonly authority: string;
  readonly server: string;
  readonly token: string;
}

function formatKubeconfig({authority, server, token}: Kubeconfig): string {
  const data = Buffer.from(authority).toString('base64');
  return formatYaml({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{name: 'test', context: {cluster: 'test', user: 'test'}}],
    clusters: [{name: 'test', cluster: {server, 'certificate-authority-data': data}}],
    users: [{name: 'test', user: {token}}],
  });
}
