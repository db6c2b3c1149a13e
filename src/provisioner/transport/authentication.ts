import {readFile} from 'node:fs/promises';
import ssh2 from 'ssh2';
import type {
  AnyAuthMethod,
  BaseAgent,
  IdentityCallback,
  ParsedKey,
  SignCallback,
  SigningRequestOptions,
} from 'ssh2';
import {CodedError, messageOf} from '#shared/errors';
import type {ProvisionerErrorCode} from '../errors.ts';
import type {SshTarget} from './connection.ts';
import {formatFingerprint} from './host-key.ts';

/** What to offer a host, in order, and what became of it, for the message if all is refused. */
export class Authentication {
  readonly #methods: AnyAuthMethod[];
  readonly #notes: string[];
  readonly #encryptedPath: string | undefined;

  constructor({methods, notes, encryptedPath}: AuthenticationPlan) {
    this.#methods = [...methods];
    this.#notes = notes;
    this.#encryptedPath = encryptedPath;
  }

  /** The next method; `false` when none is left. */
  next(): AnyAuthMethod | false {
    return this.#methods.shift() ?? false;
  }

  note(text: string): void {
    this.#notes.push(text);
  }

  /** Why the host did not let us in. */
  refusal(
    {host, address, port, user}: SshTarget,
    cause: unknown,
  ): CodedError<ProvisionerErrorCode> {
    if (this.#encryptedPath !== undefined) {
      return new CodedError(
        'ERR_PRIVATE_KEY_ENCRYPTED',
        `${host}: the private key ${this.#encryptedPath} has a passphrase, and no agent offered it`,
        {hint: `run "ssh-add ${this.#encryptedPath}" with an ssh-agent, then try again`, cause},
      );
    }
    const tried = this.#notes.length === 0 ? 'there was no key to try' : this.#notes.join(', ');
    return new CodedError(
      'ERR_AUTHENTICATION_FAILED',
      `${host} (${address}:${port}) refused user ${user}: ${tried}`,
      {
        hint: `put a public key of yours into ~${user}/.ssh/authorized_keys there, or name another key`,
        cause,
      },
    );
  }
}

export interface AuthenticationPlan {
  readonly methods: readonly AnyAuthMethod[];
  /** One phrase per key: which, and why it could not be used if so; grows while keys are tried. */
  readonly notes: string[];
  /** A key file that could not be used because of its passphrase. */
  readonly encryptedPath: string | undefined;
}

/**
 * Prepares the agent's keys and then the key files. Never passwords, never agent forwarding.
 * A key file that cannot be used is noted and passed over: another key may be the right one.
 */
export async function prepareAuthentication(
  target: SshTarget,
  agentSocketPath: string | undefined,
): Promise<Authentication> {
  const notes: string[] = [];
  const methods: AnyAuthMethod[] = [];
  const username = target.user;
  if (agentSocketPath !== undefined && agentSocketPath !== '') {
    const agent = new NotingAgent(ssh2.createAgent(agentSocketPath), notes);
    methods.push({type: 'agent', username, agent});
  }
  let encryptedPath: string | undefined;
  for (const path of target.privateKeyPaths) {
    const read = await readPrivateKey(path);
    if (read.kind === 'key') methods.push({type: 'publickey', username, key: read.key});
    if (read.kind === 'encrypted') encryptedPath ??= path;
    notes.push(read.kind === 'key' ? path : `${path} (${read.problem})`);
  }
  return new Authentication({methods, notes, encryptedPath});
}

type PrivateKey =
  | {readonly kind: 'key'; readonly key: ParsedKey}
  | {readonly kind: 'encrypted' | 'unusable'; readonly problem: string};

async function readPrivateKey(path: string): Promise<PrivateKey> {
  let content: Buffer;
  try {
    content = await readFile(path);
  } catch (error) {
    return {kind: 'unusable', problem: messageOf(error)};
  }
  // An array for some formats, whatever the type says; OpenSSH stores one key only.
  const [key] = [ssh2.utils.parseKey(content) as ParsedKey | Error | readonly ParsedKey[]].flat();
  if (key instanceof Error) {
    const isEncrypted = /encrypted|passphrase/i.test(key.message);
    return {kind: isEncrypted ? 'encrypted' : 'unusable', problem: key.message};
  }
  if (!key?.isPrivateKey()) return {kind: 'unusable', problem: 'not a private key'};
  return {kind: 'key', key};
}

/** Passes on to the agent and notes which keys it has. */
class NotingAgent extends ssh2.BaseAgent {
  readonly #agent: BaseAgent;
  readonly #notes: string[];

  constructor(agent: BaseAgent, notes: string[]) {
    super();
    this.#agent = agent;
    this.#notes = notes;
  }

  override getIdentities(callback: IdentityCallback): void {
    this.#agent.getIdentities((error, keys) => {
      const fingerprints = (keys ?? []).flatMap(key =>
        typeof key === 'object' && 'getPublicSSH' in key
          ? [formatFingerprint(key.getPublicSSH())]
          : [],
      );
      this.#notes.unshift(...fingerprints.map(fingerprint => `the agent's ${fingerprint}`));
      callback(error, keys);
    });
  }

  override sign(
    key: AgentKey,
    data: Buffer,
    options: SigningRequestOptions | SignCallback,
    callback?: SignCallback,
  ): void {
    if (typeof options === 'function') this.#agent.sign(key, data, options);
    else this.#agent.sign(key, data, options, callback);
  }
}

type AgentKey = string | Buffer | ParsedKey;
