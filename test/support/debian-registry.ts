import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {waitFor} from '#shared/wait-for';
import {unpackDebianPackages} from '#test/debian-packages';
import {freePort} from '#test/free-port';
import {temporaryFolder} from '#test/temporary-folder';

export interface DebianRegistryOptions {
  /** Speaks TLS with this certificate and key (PEM files). */
  readonly tls?: {readonly certificate: string; readonly key: string};
  /** Wants `user` / `secret` (Basic). */
  readonly authentication?: boolean;
}

/** The package, unpacked and not installed, so that no system service is started. */
export interface RegistryPackage extends AsyncDisposable {
  start(options?: DebianRegistryOptions): Promise<{readonly url: string} & AsyncDisposable>;
}

const {signal} = new AbortController();
const STARTED_MS = 20_000;
/** bcrypt of `secret`: the only kind of password file that the registry reads. */
const PASSWORD = 'user:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a';

/** Fetches Debian's docker-registry with apt. */
export async function debianRegistry(): Promise<RegistryPackage> {
  const unpacked = await temporaryFolder();
  const program = await unpackRegistry(unpacked.path);
  return {
    start: async (options = {}) => start(program, options),
    [Symbol.asyncDispose]: async () => unpacked[Symbol.asyncDispose](),
  };
}

/** The same into a folder of one's own; the program's path. */
export async function unpackRegistry(folder: string): Promise<string> {
  await unpackDebianPackages(['docker-registry'], {root: join(folder, 'root'), signal});
  return join(folder, 'root/usr/bin/docker-registry');
}

async function start(
  program: string,
  {tls, authentication}: DebianRegistryOptions,
): Promise<{readonly url: string} & AsyncDisposable> {
  const folder = await temporaryFolder();
  const port = await freePort();
  const configuration = join(folder.path, 'registry.yml');
  const passwords = join(folder.path, 'htpasswd');
  await writeFile(passwords, PASSWORD);
  const tlsPart = tls ? `, tls: {certificate: ${tls.certificate}, key: ${tls.key}}` : '';
  await writeFile(
    configuration,
    `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: ${join(folder.path, 'data')}}}
http: {addr: 127.0.0.1:${port}${tlsPart}}
${authentication ? `auth: {htpasswd: {realm: r, path: ${passwords}}}` : ''}
`,
  );
  const child = spawn(program, ['serve', configuration], {stdio: 'ignore'});
  const ended = once(child, 'exit');
  const url = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`;
  // Whatever it says, also that TLS or a password is missing: it says something.
  const answers = async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/v2/`).catch(() => undefined);
    return answer === undefined ? undefined : true;
  };
  await waitFor(answers, {signal, timeoutMs: STARTED_MS, intervalMs: 20});
  return {
    url,
    async [Symbol.asyncDispose]() {
      child.kill();
      await ended;
      await folder[Symbol.asyncDispose]();
    },
  };
}
