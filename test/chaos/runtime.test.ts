/** What takes minutes by nature: a daemon killed again and again, a kubelet that collects images. */
import test from 'ava';
import {imageCatalogue} from '#artifacts/images/image-catalogue';
import {formatYamlDocuments} from '#shared/yaml';
import {Kubectl} from '#test/e2e/kubectl';
import {podStatus, waitUntilReady} from '#test/e2e/pod-status';
import {CROWD, RUNTIME_PODS} from '#test/e2e/runtime-pods';
import {CLUSTER, eventually, must, onHost, raiseLab, writeVariant} from '#test/e2e/the-lab';

const WORKERS = ['h2', 'h3'];
/** Its kubelet has an image to collect that no pod of it uses. */
const COLLECTED_HOST = 'h2';
const READY_MS = 120_000;
const CHAOS_PODS = 30;
const CHAOS_KILLS = 20;
let kubectl: Promise<Kubectl>;

test.before('a cluster whose kubelets collect images soon, and an image for it', async () => {
  await raiseLab(3);
  await must([CLUSTER, '--yes']);
  kubectl = Kubectl.open();
  await onHost(COLLECTED_HOST, `slipway-cri pull ${imageCatalogue.apiserver.reference}`);
  const variant = await writeVariant('cluster.yaml', 'cluster-collection.yaml', document => {
    const {spec} = document as {spec: {kubelet: {config: Record<string, unknown>}}};
    // Whatever no container uses goes when a kubelet looks next: the last test waits for it.
    Object.assign(spec.kubelet.config, {imageMinimumGCAge: '1s', imageMaximumGCAge: '10s'});
  });
  await must([variant, '--yes']);
  const kube = await kubectl;
  await kube.run(['create', 'namespace', 'runtime']);
  await kube.run(['apply', '--filename', '-'], formatYamlDocuments(RUNTIME_PODS));
  await waitUntilReady(kube, 'steady');
});

test.after.always('the lab goes', async () => {
  await must(['lab', 'down']);
});

test('an image that nothing uses yet is there', async t => {
  t.true((await onHost(COLLECTED_HOST, 'slipway-cri images')).includes('kube-apiserver'));
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
  }).catch(async () => {
    t.fail(await kube.run(['get', 'pods', '--namespace', 'runtime', '--output', 'wide']));
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
