/** What people do with a cluster: deploy, look, get in, copy, forward, find each other. */
import test from 'ava';
import {spawn} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {run} from '#shared/local-process';
import {sha256Hex} from '#shared/digest';
import {Kubectl} from '#test/e2e/kubectl';
import {THREE_HOSTS} from '#test/e2e/saved-snapshots';
import {CLUSTER, eventually, must, onHost} from '#test/e2e/the-lab';
import {deployWeb, podsOf} from '#test/e2e/workload';
import {temporaryFolder} from '#test/temporary-folder';

const {signal} = new AbortController();
const kubectl = Kubectl.open();

test.before('a cluster with a Deployment', async () => {
  await must([CLUSTER, '--yes']);
  await deployWeb(await kubectl);
});

test('a Deployment is spread over all nodes that take pods', async t => {
  const pods = await podsOf(await kubectl, 'app=web');
  t.deepEqual([...new Set(pods.map(({node}) => node))].sort(), ['h2', 'h3']);
  t.is(pods.length, 4);
});

test('logs -f shows lines as they come', async t => {
  const kube = await kubectl;
  const [pod] = await podsOf(kube, 'app=web');
  const [command = '', ...args] = kube.argv(['logs', '--follow', pod?.name ?? '']);
  const child = spawn(command, args, {stdio: ['ignore', 'pipe', 'inherit']});
  try {
    const mark = `seen-${Date.now()}`;
    const lines = createInterface({input: child.stdout});
    const seen = (async () => {
      for await (const line of lines) if (line === mark) return true;
      return false;
    })();
    await kube.run(['exec', pod?.name ?? '', '--', 'sh', '-c', `echo ${mark} > /proc/1/fd/1`]);
    t.true(await seen);
  } finally {
    child.kill();
  }
});

test('exec -it has a terminal, and hands on input and exit code', async t => {
  const kube = await kubectl;
  const [pod] = await podsOf(kube, 'app=web');
  const words = kube.argv(['exec', '-it', pod?.name ?? '', '--', 'sh']).join(' ');
  // script(1) gives kubectl the terminal that a person would have.
  const result = await run(
    ['script', '--quiet', '--return', '--command', words, '/dev/null'],
    {signal, timeoutMs: 30_000, input: 'tty; echo sum $((40 + 2)); exit 7\n'},
  ); // prettier-ignore
  t.regex(result.stdout, /\/dev\/pts\/\d/);
  t.regex(result.stdout, /sum 42/);
  t.is(result.exitCode, 7);
});

test('provision kubectl is the same kubectl, with exit code and standard input', async t => {
  const {exitCode, stdout} = await must(['kubectl', 'get', 'nodes', '--output', 'name']);
  t.is(exitCode, 0);
  t.deepEqual(
    stdout.split('\n'),
    THREE_HOSTS.map(host => `node/${host}`),
  );
});

test('cp brings a file in and out with equal bytes', async t => {
  const kube = await kubectl;
  await using folder = await temporaryFolder();
  const [pod] = await podsOf(kube, 'app=web');
  const [there, back] = [join(folder.path, 'there'), join(folder.path, 'back')];
  const bytes = randomBytes(3_000_001);
  await writeFile(there, bytes);
  await kube.run(['cp', there, `${pod?.name ?? ''}:/tmp/file`]);
  const inside = await kube.run(['exec', pod?.name ?? '', '--', 'sha256sum', '/tmp/file']);
  t.is(inside.split(' ')[0], sha256Hex(bytes));
  await kube.run(['cp', `${pod?.name ?? ''}:/tmp/file`, back]);
  t.is(sha256Hex(await readFile(back)), sha256Hex(bytes));
});

test('port-forward reaches a pod from this machine', async t => {
  const kube = await kubectl;
  const [command = '', ...args] = kube.argv(['port-forward', 'deployment/web', ':8080']);
  const child = spawn(command, args, {stdio: ['ignore', 'pipe', 'inherit']});
  try {
    const port = await forwardedPort(createInterface({input: child.stdout}));
    const answer = await fetch(`http://127.0.0.1:${port}/`, {signal: AbortSignal.timeout(10_000)});
    t.regex(await answer.text(), /^web-/);
  } finally {
    child.kill();
  }
});

test('a Service is found by its name from a pod of every node, and balances', async t => {
  const kube = await kubectl;
  const pods = await podsOf(kube, 'app=web');
  for (const node of ['h2', 'h3']) {
    const pod = pods.find(each => each.node === node);
    const script =
      'for i in $(seq 12); do wget -qO- -T 5 http://web.default.svc.cluster.local; done';
    const said = await kube.run(['exec', pod?.name ?? '', '--', 'sh', '-c', script]);
    t.is(said.split('\n').length, 12);
    t.true(new Set(said.split('\n')).size > 1, `answers on ${node}: ${said}`);
  }
});

test('a NodePort answers on every host, with or without a pod of its own', async t => {
  const kube = await kubectl;
  const service = await kube.get<{spec: {ports: {nodePort: number}[]}}>(['service', 'web']);
  const port = service.spec.ports[0]?.nodePort ?? 0;
  for (const address of ['10.89.0.11', '10.89.0.12', '10.89.0.13']) {
    const answer = await eventually(
      async () =>
        await fetch(`http://${address}:${port}/`, {signal: AbortSignal.timeout(2_000)})
          .then(response => response.text())
          .catch(() => undefined), // rules are on their way
    );
    t.regex(answer, /^web-/, address);
  }
});

// On every runtime. That ours says OOMKilled is a test of its own: 35-runtime.
test('a pod with a memory limit is killed for more, and started again', async t => {
  const kube = await kubectl;
  const exitCode = await eventually(async () => {
    const pods = await kube.get<HungryPods>(['pods', '--selector', 'app=hungry']);
    return pods.items[0]?.status.containerStatuses?.[0]?.lastState.terminated?.exitCode;
  });
  t.is(exitCode, 128 + 9);
  await kube.run(['delete', 'deployment', 'hungry', '--wait=false']);
});

test('pods reach the API server by the name of its Service', async t => {
  const kube = await kubectl;
  const [pod] = await podsOf(kube, 'app=web');
  const wget = [
    'wget',
    '-q',
    '-O-',
    '--no-check-certificate',
    'https://kubernetes.default/version',
  ];
  t.regex(await kube.run(['exec', pod?.name ?? '', '--', ...wget]), /"gitVersion": "v1\.36\.3"/);
});

test('hosts keep their own names and addresses: no host file knows the others', async t => {
  t.notRegex(await onHost('h2', 'cat /etc/hosts'), /h3/);
});

interface HungryPods {
  readonly items: readonly {
    readonly status: {
      readonly containerStatuses?: readonly {
        readonly lastState: {readonly terminated?: {readonly exitCode: number}};
      }[];
    };
  }[];
}

async function forwardedPort(lines: AsyncIterable<string>): Promise<number> {
  for await (const line of lines) {
    const port = /127\.0\.0\.1:(\d+) ->/.exec(line)?.[1];
    if (port !== undefined) return Number(port);
  }
  throw new Error('port-forward ended without a port');
}
