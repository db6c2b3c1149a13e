import {readFileSync} from 'node:fs';
import {dirname, resolve} from 'node:path';
import {CodedError, messageOf} from '#shared/errors';
import {isRecord, type JsonRecord} from '#shared/kube/json';
import {parseKubeconfig} from '#shared/kube/transport';
import {tokenReader, type Credentials} from './credentials.ts';

export interface KubeconfigOptions {
  /** Where the text is from: relative paths in it start from there. Default: the working directory. */
  readonly path?: string;
}

/**
 * The credentials of a kubeconfig's current context. Not in credentials.ts, so that a controller
 * in its cluster loads no YAML.
 *
 * Known ways to say who we are: token, tokenFile, and a client certificate with its key, as data
 * or as files. Programs (`exec`) and passwords are refused.
 *
 * @throws CodedError ERR_KUBECONFIG_INVALID; ERR_CREDENTIALS_INVALID
 */
export function kubeconfigCredentials(text: string, {path}: KubeconfigOptions = {}): Credentials {
  const base = path === undefined ? process.cwd() : dirname(resolve(path));
  const {json, server} = parseKubeconfig({kubeconfig: text});
  const document = JSON.parse(json) as JsonRecord; // written by parseKubeconfig as an object
  const context = entryOf(document, 'contexts', document['current-context'], 'context');
  const user = entryOf(document, 'users', context['user'], 'user');
  const cluster = entryOf(document, 'clusters', context['cluster'], 'cluster');
  const certificateAuthority = textOf(cluster, 'certificate-authority', base);
  if (certificateAuthority === undefined) throw invalid('it names no certificate authority');
  const credentials = {server, certificateAuthority, token: tokenOf(user, base)};
  const client = clientOf(user, base);
  if (client !== undefined) return {...credentials, client};
  if (credentials.token() === undefined) {
    throw invalid('its user has neither a token nor a client certificate');
  }
  return credentials;
}

function tokenOf(user: JsonRecord, base: string): () => string | undefined {
  const {token, tokenFile} = user;
  if (typeof token === 'string' && token !== '') return () => token;
  if (typeof tokenFile !== 'string' || tokenFile === '') return () => undefined;
  const read = (): string => readFile(resolve(base, tokenFile)).trim();
  return tokenReader(read, () => performance.now());
}

function clientOf(user: JsonRecord, base: string): {cert: string; key: string} | undefined {
  const cert = textOf(user, 'client-certificate', base);
  const key = textOf(user, 'client-key', base);
  if (cert === undefined && key === undefined) return undefined;
  if (cert !== undefined && key !== undefined) return {cert, key};
  throw invalid('of client certificate and client key it has only one');
}

/** `NAME-data` (Base64) or the file that `NAME` names. */
function textOf(record: JsonRecord, name: string, base: string): string | undefined {
  const data = record[`${name}-data`];
  if (typeof data === 'string' && data !== '') return Buffer.from(data, 'base64').toString();
  const path = record[name];
  return typeof path === 'string' && path !== '' ? readFile(resolve(base, path)) : undefined;
}

function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw invalid(`it names a file that cannot be read: ${messageOf(cause)}`, cause);
  }
}

function entryOf(document: JsonRecord, list: string, name: unknown, member: string): JsonRecord {
  const entries = document[list];
  const found: unknown = Array.isArray(entries)
    ? entries.find(entry => isRecord(entry) && entry['name'] === name)
    : undefined;
  const value = isRecord(found) ? found[member] : undefined;
  if (!isRecord(value)) throw invalid(`its ${list} have no entry named ${String(name)}`);
  return value;
}

function invalid(what: string, cause?: unknown): CodedError<'ERR_CREDENTIALS_INVALID'> {
  return new CodedError('ERR_CREDENTIALS_INVALID', `the kubeconfig cannot be used: ${what}`, {
    hint: 'use a kubeconfig with a token or a client certificate, for example admin.conf',
    cause,
  });
}
