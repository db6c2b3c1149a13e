/** What a cluster asks of its runtime daemon, seen from outside: reasons, probes, streams, logs. */
import test from 'ava';
import {spawn} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {sha256Hex} from '#shared/digest';
import {run} from '#shared/local-process';
import {formatYamlDocuments} from '#shared/yaml';
import {Kubectl} from '#test/e2e/kubectl';
import {type Ended, podStatus, waitUntilReady} from '#test/e2e/pod-status';
import {RUNTIME_PODS, TALKER} from '#test/e2e/runtime-pods';
import {eventually, must, onHost, writeVariant} from '#test/e2e/the-lab';
import {temporaryFolder} from '#test/temporary-folder';

const READY_MS = 120_000;
const {signal} = new AbortController();
const kubectl = Kubectl.open();

test.before('pods of every kind, and kubelets that rotate logs soon', async t => {
  t.timeout(READY_MS);
  const variant = await writeVariant('cluster.yaml', 'cluster-rotation.yaml', document => {
    const {spec} = document as {spec: {kubelet: {config: Record<string, unknown>}}};
    Object.assign(spec.kubelet.config, {
      containerLogMaxSize: '1Mi',
      containerLogMaxFiles: 5,
      containerLogMonitorInterval: '3s',
    });
  });
  await must([variant, '--yes']);
  const kube = await kubectl;
  await kube.run(['create', 'namespace', 'runtime']);
  await kube.run(['apply', '--filename', '-'], formatYamlDocuments(RUNTIME_PODS));
});

test.after.always(async () => {
  const kube = await kubectl;
  await kube.try(['delete', 'namespace', 'runtime', '--ignore-not-found', '--wait=false']);
  // Kubelets get their own configuration again from the next file, as every file begins.
});

test('every node runs on slipway', async t => {
  const path = 'jsonpath={.items[*].status.nodeInfo.containerRuntimeVersion}';
  const versions = await (await kubectl).run(['get', 'nodes', '--output', path]);
  t.is(versions.split(' ').length, 3);
  for (const version of versions.split(' ')) t.regex(version, /^slipway:\/\/\d/);
});

test('a container killed for its memory limit ends with OOMKilled', async t => {
  const ended = await endOf('hungry');
  t.deepEqual(
    {exitCode: ended.exitCode, reason: ended.reason},
    {exitCode: 137, reason: 'OOMKilled'},
  );
});

test('an exec probe answers; one that takes too long has failed, and says so', async t => {
  const kube = await kubectl;
  await waitUntilReady(kube, 'probed');
  const failed = await eventually(
    async () => {
      const events = await kube.run([
        'get',
        'events',
        '--namespace',
        'runtime',
        '--output',
        'name',
      ]);
      if (events === '') return undefined;
      const text = await kube.run(['describe', 'pod', '--namespace', 'runtime', 'probed']);
      return /Liveness probe failed: .*timed out.*/.exec(text)?.[0];
    },
    {timeoutMs: READY_MS},
  );
  t.regex(failed, /timed out/);
  for (const host of ['h1', 'h2', 'h3']) {
    const log = await onHost(host, 'journalctl --unit slipway-cri --boot --no-pager');
    t.notRegex(log, /are run by the OCI runtime/, 'slipway-exec does not work here');
  }
});

test('a terminal has the size that the client gives it', async t => {
  const kube = await kubectl;
  await waitUntilReady(kube, 'steady');
  const words = kube
    .argv([
      'exec',
      '--namespace',
      'runtime',
      '-it',
      'steady',
      '--',
      'sh',
      '-c',
      '"sleep 1; stty size"',
    ])
    .join(' ');
  const command = `stty rows 41 cols 101; ${words}`;
  const options = {signal, timeoutMs: 30_000};
  const {stdout} = await run(['script', '--quiet', '--command', command, '/dev/null'], options);
  t.regex(stdout, /41 101/);
});

test('attach talks to the process that the container began with', async t => {
  const kube = await kubectl;
  await waitUntilReady(kube, 'listening');
  const argv = kube.argv(['attach', '--namespace', 'runtime', '--stdin', 'listening']);
  const child = spawn(argv[0] ?? '', argv.slice(1), {stdio: ['pipe', 'pipe', 'ignore']});
  try {
    const lines = createInterface({input: child.stdout});
    const heard = (async () => {
      for await (const line of lines) if (line === 'heard hello') return line;
      return undefined;
    })();
    child.stdin.write('hello\n');
    t.is(await heard, 'heard hello');
  } finally {
    child.kill();
  }
});

test('100 MB go into a container and come back as they were', async t => {
  const kube = await kubectl;
  await using folder = await temporaryFolder();
  const [there, back] = [join(folder.path, 'there'), join(folder.path, 'back')];
  const bytes = randomBytes(100_000_000);
  await writeFile(there, bytes);
  await kube.run(['cp', there, 'runtime/steady:/tmp/file']);
  await kube.run(['cp', 'runtime/steady:/tmp/file', back]);
  t.is(sha256Hex(await readFile(back)), sha256Hex(bytes));
});

test('statistics: processor, memory, network and file systems of every pod', async t => {
  const kube = await kubectl;
  const node = await kube.run([
    ...['get', 'pod', '--namespace', 'runtime', 'steady'],
    ...['--output', 'jsonpath={.spec.nodeName}'],
  ]);
  const summary = JSON.parse(
    await kube.run(['get', '--raw', `/api/v1/nodes/${node}/proxy/stats/summary`]),
  ) as Summary;
  const pod = summary.pods.find(({podRef}) => podRef.name === 'steady');
  t.true((pod?.cpu?.usageCoreNanoSeconds ?? 0) > 0, 'processor');
  t.true((pod?.memory?.workingSetBytes ?? 0) > 0, 'memory');
  t.is(typeof pod?.network?.rxBytes, 'number', 'network');
  const [container] = pod?.containers ?? [];
  t.true((container?.memory?.workingSetBytes ?? 0) > 0, 'memory of the container');
  t.is(typeof container?.rootfs?.usedBytes, 'number', 'file system of the container');
});

test('limits change in place: the new ones hold, and nothing restarts', async t => {
  const kube = await kubectl;
  await waitUntilReady(kube, 'steady');
  const resources = {requests: {memory: '96Mi', cpu: '20m'}, limits: {memory: '96Mi', cpu: '200m'}};
  const patch = JSON.stringify({spec: {containers: [{name: 'main', resources}]}});
  await kube.run([
    ...['patch', 'pod', '--namespace', 'runtime', 'steady', '--subresource', 'resize'],
    ...['--patch', patch],
  ]);
  const changed = await eventually(
    async () => {
      const [container] = (await podStatus(kube, 'steady')).status.containerStatuses ?? [];
      return container?.resources?.limits?.['memory'] === '96Mi' ? container : undefined;
    },
    {timeoutMs: READY_MS},
  );
  t.is(changed.restartCount, 0);
});

test('a crashing container has its exit code, is started again and backs off', async t => {
  const kube = await kubectl;
  // By a watch: a kubelet shows this reason between two starts for less than a second.
  const reason = '{.status.containerStatuses[0].state.waiting.reason}';
  const until = [`--for=jsonpath=${reason}=CrashLoopBackOff`, `--timeout=${READY_MS / 1_000}s`];
  await kube.run(['wait', '--namespace', 'runtime', 'pod/crashing', ...until]);
  const [status] = (await podStatus(kube, 'crashing')).status.containerStatuses ?? [];
  t.true((status?.restartCount ?? 0) >= 1);
  t.like(status?.lastState.terminated, {exitCode: 7, reason: 'Error'});
});

test('logs are rotated under load, and no line is lost', async t => {
  const kube = await kubectl;
  await kube.run(['apply', '--filename', '-'], formatYamlDocuments([TALKER]));
  await waitUntilReady(kube, 'talking');
  const node = await kube.run([
    ...['get', 'pod', '--namespace', 'runtime', 'talking'],
    ...['--output', 'jsonpath={.spec.nodeName}'],
  ]);
  const folder = '/var/log/pods/runtime_talking_*/main';
  const files = await eventually(
    async () => {
      const names = (await onHost(node, `ls ${folder}`)).split('\n');
      return names.length >= 3 ? names : undefined;
    },
    {timeoutMs: READY_MS},
  );
  t.true(files.length >= 3, files.join(' '));
  const numbers = (await onHost(node, numbersOfLog(folder))).split('\n');
  t.deepEqual(
    numbers.filter(line => line.startsWith('gap')),
    [],
  );
  t.regex(numbers.at(-1) ?? '', /^last [1-9]\d{3,}$/);
  await kube.run(['delete', 'pod', '--namespace', 'runtime', 'talking', '--grace-period=1']);
});

/**
 * Prints where the numbers of the lines have a gap. A log that is rotated meanwhile is read again;
 * a line that the runtime read in two parts (tag P, CRI's log format) is put together.
 */
function numbersOfLog(folder: string): string {
  return String.raw`cd ${folder} || exit
while :; do
  before=$(ls -i)
  for f in 0.log.* 0.log; do case $f in *.tmp) ;; *.gz) zcat $f ;; *) cat $f ;; esac; done >/tmp/talking
  [ "$(ls -i)" = "$before" ] && break
done
awk '{
  text = substr($0, length($1) + length($2) + length($3) + 4)
  if ($3 == "P") { part = part text; next }
  print part text
  part = ""
}' /tmp/talking | sed -n 's/^line \([0-9]*\) .*/\1/p' | sort -n | uniq |
awk 'NR > 1 && $1 != p + 1 {print "gap after " p} {p = $1} END {print "last " p}'
rm /tmp/talking`;
}

async function endOf(name: string): Promise<Ended> {
  const kube = await kubectl;
  return await eventually(
    async () => {
      const [container] = (await podStatus(kube, name)).status.containerStatuses ?? [];
      return container?.state.terminated ?? container?.lastState.terminated;
    },
    {timeoutMs: READY_MS},
  );
}

interface Summary {
  readonly pods: readonly {
    readonly podRef: {readonly name: string};
    readonly cpu?: {readonly usageCoreNanoSeconds?: number};
    readonly memory?: {readonly workingSetBytes?: number};
    readonly network?: {readonly rxBytes?: number};
    readonly containers?: readonly {
      readonly memory?: {readonly workingSetBytes?: number};
      readonly rootfs?: {readonly usedBytes?: number};
    }[];
  }[];
}
