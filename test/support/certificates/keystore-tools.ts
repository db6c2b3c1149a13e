import {spawnSync} from 'node:child_process';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {temporaryFolder} from '#test/temporary-folder';

export interface ToolResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Whether `keytool` is on this machine; tests that need Java are skipped without it. */
export const hasKeytool = spawnSync('keytool', ['-help']).error === undefined;

/** What openssl's `pkcs12` prints of a file, the key included; the password goes by stdin. */
export async function openPkcs12(pfx: Buffer, password: string): Promise<ToolResult> {
  return withFile(pfx, path =>
    run(['openssl', 'pkcs12', '-legacy', '-in', path, '-passin', 'stdin', '-nodes'], password),
  );
}

/** What Java's keytool tells of a keystore, in English; the password goes by stdin. */
export async function listKeystore(store: Buffer, password: string): Promise<ToolResult> {
  return withFile(store, path =>
    run(['keytool', '-J-Duser.language=en', '-list', '-v', '-keystore', path], `${password}\n`),
  );
}

/**
 * The private key of a keystore's entry as PEM: keytool turns the store into one of PKCS#12 and
 * openssl opens that. Passwords go by a file that is gone at the end.
 */
export async function exportKey(
  store: Buffer,
  {alias, password}: {readonly alias: string; readonly password: string},
): Promise<ToolResult> {
  await using folder = await temporaryFolder();
  const [source, target, secret] = ['source', 'target.p12', 'secret'].map(name =>
    join(folder.path, name),
  ) as [string, string, string];
  await writeFile(source, store);
  await writeFile(secret, password, {mode: 0o600});
  const stores = ['-srckeystore', source, '-destkeystore', target, '-deststoretype', 'PKCS12'];
  const secrets = ['-srcstorepass:file', secret, '-deststorepass:file', secret];
  const imported = run(
    ['keytool', '-importkeystore', ...stores, ...secrets, '-srcalias', alias],
    '',
  );
  if (imported.status !== 0) return imported;
  return run(
    ['openssl', 'pkcs12', '-in', target, '-passin', 'stdin', '-nodes', '-nocerts'],
    password,
  );
}

async function withFile(octets: Buffer, use: (path: string) => ToolResult): Promise<ToolResult> {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'store');
  await writeFile(path, octets);
  return use(path);
}

function run([command = '', ...argv]: readonly string[], input: string): ToolResult {
  const {status, stdout, stderr} = spawnSync(command, argv, {input, encoding: 'utf8'});
  return {status, stdout, stderr};
}
