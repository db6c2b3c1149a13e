import {readFileSync} from 'node:fs';
import {CodedError, messageOf} from '#shared/errors';

/** Where the API is, whom we trust to be it, and who we are. */
export interface Credentials {
  /** `https://HOST:PORT`, without a path. */
  readonly server: string;
  /** PEM of the authorities that the serving certificate must lead to. */
  readonly certificateAuthority: string;
  /** PEM of a client certificate and its key. */
  readonly client?: {readonly cert: string; readonly key: string};
  /** The present bearer token, if there is one: a mounted one is read anew as it is rotated. */
  token(): string | undefined;
}

export interface InClusterOptions {
  /** Default: where the kubelet mounts the service account. */
  readonly directory?: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Default `performance.now`. */
  readonly nowMs?: () => number;
}

const SERVICE_ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Far below the 10 minutes at least that a rotated token overlaps with its successor. */
const TOKEN_READ_EVERY_MS = 30_000;

/**
 * The pod's own service account (Kubernetes, "Accessing the API from within a Pod").
 *
 * @throws CodedError ERR_CREDENTIALS_INVALID
 */
export function inClusterCredentials({
  directory = SERVICE_ACCOUNT_DIRECTORY,
  environment,
  nowMs = () => performance.now(),
}: InClusterOptions): Credentials {
  const host = environment['KUBERNETES_SERVICE_HOST'];
  const port = environment['KUBERNETES_SERVICE_PORT'];
  if (host === undefined || port === undefined || host === '' || port === '') {
    throw new CodedError(
      'ERR_CREDENTIALS_INVALID',
      'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is not a pod',
      {hint: 'outside a cluster, pass --kubeconfig PATH'},
    );
  }
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    certificateAuthority: readMounted(directory, 'ca.crt'),
    token: tokenReader(() => readMounted(directory, 'token').trim(), nowMs),
  };
}

/** Reads now (so that a missing file shows at once), and again as time passes. */
export function tokenReader(read: () => string, nowMs: () => number): () => string {
  let token = read();
  let readAt = nowMs();
  return () => {
    if (nowMs() - readAt < TOKEN_READ_EVERY_MS) return token;
    readAt = nowMs();
    try {
      token = read();
    } catch {
      // The kubelet may be replacing it; the old one is good for minutes, then the API says 401.
    }
    return token;
  };
}

function readMounted(directory: string, name: string): string {
  const path = `${directory}/${name}`;
  try {
    const text = readFileSync(path, 'utf8');
    if (text.trim() !== '') return text;
    throw new Error('it is empty');
  } catch (cause) {
    const message = `cannot read ${path}: ${messageOf(cause)}`;
    throw new CodedError('ERR_CREDENTIALS_INVALID', message, {
      hint: 'let the pod mount its service account: automountServiceAccountToken: true',
      cause,
    });
  }
}
