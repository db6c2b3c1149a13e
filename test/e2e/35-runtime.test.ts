/** What a cluster asks of its runtime daemon, seen from outside: reasons, probes, streams, chaos. */
import test from 'ava';
import {spawn} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {imageCatalogue} from '#artifacts/images/image-catalogue';
import {sha256Hex} from '#shared/digest';
import {run} from '#shared/local-process';
import {formatYamlDocuments} from '#shared/yaml';
import {Kubectl} from '#test/e2e/kubectl';
import {CROWD, RUNTIME_PODS, TALKER} from '#test/e2e/runtime-pods';
import {CLUSTER, eventually, must, onHost, writeVariant} from '#test/e2e/the-lab';
import {temporaryFolder} from '#test/temporary-folder';

const WORKERS = ['h2', 'h3'];
/** Its kubelet has an image to collect that no pod of it uses. */
const COLLECTED_HOST = 'h2';
const READY_MS = 120_000;
const CHAOS_PODS = 30;
const CHAOS_KILLS = 20;
const {signal} = new AbortController();
const kubectl = Kubectl.open();

interface PodStatus {
  readonly status: {
    readonly phase: string;
    readonly containerStatuses?: readonly {
      readonly ready: boolean;
      readonly restartCount: number;
      readonly resources?: {readonly limits?: Readonly<Record<string, string>>};
      readonly state: {
        readonly waiting?: {readonly reason: string};
        readonly terminated?: Ended;
      };
      readonly lastState: {readonly terminated?: Ended};
    }[];
  };
}

interface Ended {
  readonly exitCode: number;
  readonly reason: string;
}

test.before(
  'pods of every kind, and kubelets that rotate logs and collect images soon',
  async t => {
    t.timeout(READY_MS);
    const variant = await writeVariant('cluster.yaml', 'cluster-rotation.yaml', document => {
      const {spec} = document as {spec: {kubelet: {config: Record<string, unknown>}}};
      Object.assign(spec.kubelet.config, {
        containerLogMaxSize: '1Mi',
        containerLogMaxFiles: 5,
        containerLogMonitorInterval: '3s',
        // Whatever no container uses goes when a kubelet looks next: the last test waits for it.
        imageMinimumGCAge: '1s',
        imageMaximumGCAge: '10s',
      });
    });
    await must([variant, '--yes']);
    await onHost(COLLECTED_HOST, `slipway-cri pull ${imageCatalogue.apiserver.reference}`);
    const kube = await kubectl;
    await kube.run(['create', 'namespace', 'runtime']);
    await kube.run(['apply', '--filename', '-'], formatYamlDocuments(RUNTIME_PODS));
  },
);

test.after.always(async () => {
  const kube = await kubectl;
  await kube.try(['delete', 'namespace', 'runtime', '--ignore-not-found', '--wait=true']);
});

test('an image that nothing uses yet is there', async t => {
  t.true((await onHost(COLLECTED_HOST, 'slipway-cri images')).includes('kube-apiserver'));
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

test('a crashing container has its exit code, is started again and backs off', async t => {
  const kube = await kubectl;
  const status = await eventually(
    async () => {
      const [container] = (await podStatus(kube, 'crashing')).status.containerStatuses ?? [];
      return container?.state.waiting?.reason === 'CrashLoopBackOff' ? container : undefined;
    },
    {timeoutMs: READY_MS},
  );
  t.true(status.restartCount >= 1);
  t.like(status.lastState.terminated, {exitCode: 7, reason: 'Error'});
});

test('an exec probe answers; one that takes too long has failed, and says so', async t => {
  const kube = await kubectl;
  await ready('probed');
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
});

test('a terminal has the size that the client gives it', async t => {
  const kube = await kubectl;
  await ready('steady');
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
  await ready('listening');
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
  await ready('steady');
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

test('logs are rotated under load, and no line is lost', async t => {
  const kube = await kubectl;
  await kube.run(['apply', '--filename', '-'], formatYamlDocuments([TALKER]));
  await ready('talking');
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
  // Lines are numbered, so that a gap shows.
  const read = `for f in $(ls -r ${folder}/0.log.*); do case $f in *.gz) zcat $f;; *) cat $f;; esac; done; cat ${folder}/0.log`;
  const numbers = (
    await onHost(
      node,
      `{ ${read}; } | sed -n 's/.* line \\([0-9]*\\) .*/\\1/p' | sort -n | uniq | awk 'NR>1 && $1!=p+1 {print "gap after " p} {p=$1} END {print "last " p}'`,
    )
  ).split('\n');
  t.deepEqual(
    numbers.filter(line => line.startsWith('gap')),
    [],
  );
  await kube.run(['delete', 'pod', '--namespace', 'runtime', 'talking', '--grace-period=1']);
});

test('the daemon killed with -9 twenty times while 30 pods start and stop: nothing is lost or left', async t => {
  const kube = await kubectl;
  await kube.run(['apply', '--filename', '-'], formatYamlDocuments([CROWD]));
  const before = await Promise.all(WORKERS.map(network));
  const scale = async (replicas: number) => {
    const names = ['--namespace', 'runtime', 'deployment/crowd'];
    await kube.run(['scale', ...names, `--replicas=${replicas}`]);
  };
  const kills = Promise.all(WORKERS.map(host => onHost(host, KILLS)));
  await scale(CHAOS_PODS);
  await eventually(async () => ((await readyReplicas(kube)) >= CHAOS_PODS / 2 ? true : undefined), {
    timeoutMs: READY_MS,
  });
  await scale(0);
  await scale(CHAOS_PODS);
  await kills;
  await eventually(async () => ((await readyReplicas(kube)) === CHAOS_PODS ? true : undefined), {
    timeoutMs: 2 * READY_MS,
    intervalMs: 1_000,
  });
  const [steady] = (await podStatus(kube, 'steady')).status.containerStatuses ?? [];
  t.is(steady?.restartCount, 0, 'a container that had nothing to do with it');
  await scale(0);
  const tooMany = async () => {
    const now = await Promise.all(WORKERS.map(network));
    return now.flatMap((counts, index) =>
      Object.entries(counts)
        .filter(([what, count]) => count > (before[index]?.[what] ?? 0))
        .map(([what, count]) => `${WORKERS[index] ?? ''}: ${count} ${what}`),
    );
  };
  // Fewer is no fault: the kubelet removes ended pods of earlier tests meanwhile.
  const nothingLeft = async () => ((await tooMany()).length === 0 ? true : undefined);
  const options = {timeoutMs: 2 * READY_MS, intervalMs: 1_000};
  await eventually(nothingLeft, options).catch(() => undefined);
  t.deepEqual(await tooMany(), []);
});

/** A kubelet collects images every five minutes, and at its start it knows none long enough. */
const COLLECTION_MS = 7 * 60_000;

test('images that nothing uses are collected by the kubelet, those in use stay', async t => {
  const left = await eventually(
    async () => {
      const images = await onHost(COLLECTED_HOST, 'slipway-cri images');
      return images.includes('kube-apiserver') ? undefined : images;
    },
    {timeoutMs: COLLECTION_MS, intervalMs: 1_000},
  );
  t.true(left.includes('kube-proxy'));
  await must([CLUSTER, '--yes']); // the kubelets' own configuration again
});

/** Ten on each of two hosts, each as soon as the daemon serves again. */
const KILLS = `
for n in $(seq ${CHAOS_KILLS / WORKERS.length}); do
  until slipway-cri info > /dev/null 2>&1; do sleep 0.2; done
  sleep 0.$n
  kill -9 "$(systemctl show slipway-cri --property MainPID --value)"
done
until slipway-cri info > /dev/null 2>&1; do sleep 0.2; done`;

/** What pods leave on a host when something goes wrong, as numbers. */
async function network(host: string): Promise<Readonly<Record<string, number>>> {
  const text = await onHost(
    host,
    `echo sandboxes $(slipway-cri pods -o json | grep -c SANDBOX_READY)
     echo monitors $(ps -eo comm= | grep -c '^conmon$')
     echo mounts $(grep -c slipway /proc/self/mountinfo)
     echo veths $(ip -o link show type veth | wc -l)
     echo addresses $(ls /var/lib/cni/networks/cbr0 2>/dev/null | grep -c '^[0-9]')
     echo cgroups $(find /sys/fs/cgroup/memory -type d -name '*slipway*' | grep -v 'slipway-cri.service' | wc -l)`,
  );
  return Object.fromEntries(
    text.split('\n').map(line => {
      const [name = '', count] = line.trim().split(' ');
      return [name, Number(count)];
    }),
  );
}

async function readyReplicas(kube: Kubectl): Promise<number> {
  const path = 'jsonpath={.status.readyReplicas}';
  const names = ['deployment/crowd', '--namespace', 'runtime'];
  return Number(await kube.run(['get', ...names, '--output', path]));
}

async function podStatus(kube: Kubectl, name: string): Promise<PodStatus> {
  return await kube.get<PodStatus>(['pod', '--namespace', 'runtime', name]);
}

async function ready(name: string): Promise<void> {
  const kube = await kubectl;
  const wait = ['wait', '--for=condition=Ready', `pod/${name}`, '--namespace', 'runtime'];
  await kube.run([...wait, `--timeout=${READY_MS}ms`]);
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
