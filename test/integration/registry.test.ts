import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {join} from 'node:path';
import {run} from '#shared/local-process';
import {waitFor} from '#shared/wait-for';
import {testRegistryContract} from '#test/registry-contract';
import {temporaryFolder} from '#test/temporary-folder';
import test from 'ava';

const {signal} = new AbortController();
const STARTED_MS = 20_000;

/** The package, unpacked and not installed, so that no system service is started. */
const unpacked = temporaryFolder();

test.before('the package is fetched', async () => {
  const {path} = await unpacked;
  await mustRun(['apt-get', 'download', 'docker-registry'], path);
  await mustRun(['sh', '-c', 'dpkg-deb --extract docker-registry_*.deb root'], path);
});

test.after.always(async () => {
  await (await unpacked)[Symbol.asyncDispose]();
});

testRegistryContract(test, "Debian's docker-registry", startDebianRegistry);

async function startDebianRegistry(): Promise<{readonly url: string} & AsyncDisposable> {
  const folder = await temporaryFolder();
  const port = await freePort();
  const configuration = join(folder.path, 'registry.yml');
  await writeFile(
    configuration,
    `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: ${join(folder.path, 'data')}}}
http: {addr: 127.0.0.1:${port}}
`,
  );
  const program = join((await unpacked).path, 'root/usr/bin/docker-registry');
  const child = spawn(program, ['serve', configuration], {stdio: 'ignore'});
  const ended = once(child, 'exit');
  const url = `http://127.0.0.1:${port}`;
  const answers = async () =>
    (await fetch(`${url}/v2/`).catch(() => undefined))?.ok ? true : undefined;
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

async function mustRun(argv: readonly string[], cwd: string): Promise<void> {
  const {exitCode, stderr} = await run(argv, {signal, cwd});
  if (exitCode !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (typeof address !== 'object' || address === null) throw new Error('no address');
  return address.port;
}
