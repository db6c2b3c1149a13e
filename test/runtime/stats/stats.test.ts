import {create, toBinary, type MessageInitShape} from '@bufbuild/protobuf';
import test from 'ava';
import type {CgroupPaths} from '#runtime/cgroup/paths';
import type {CgroupStats} from '#runtime/cgroup/read';
import {
  ContainerStatsSchema,
  PodSandboxStatsSchema,
  type ContainerStats,
  type PodSandboxStats,
} from '#runtime/cri/gen/cri-v1_pb';
import {createStatsCollector} from '#runtime/stats/collector';
import type {MeasuredContainer, MeasuredSandbox} from '#runtime/stats/measured';
import {parseNetworkUsage} from '#runtime/stats/network-usage';
import {createWritableLayers} from '#runtime/stats/writable-layers';

const SECOND_NS = 1_000_000_000n;

function paths(name: string): CgroupPaths {
  return {version: 2, runcCgroupsPath: '', relativePath: `/${name}`, directories: {}};
}

function aMeasured(id: string, changes: Partial<MeasuredContainer> = {}): MeasuredContainer {
  return {
    id,
    metadata: {name: 'web', attempt: 1},
    labels: {app: 'web'},
    annotations: {},
    cgroup: paths(id),
    writableLayer: {mountpoint: '/var/lib/slipway'},
    ...changes,
  };
}

function aSandbox(changes: Partial<MeasuredSandbox> = {}): MeasuredSandbox {
  return {
    id: 'pod',
    metadata: {name: 'web-0', namespace: 'default', uid: 'u', attempt: 0},
    labels: {},
    annotations: {},
    cgroup: paths('pod'),
    containers: [],
    ...changes,
  };
}

function use(cpuNanoseconds: bigint, workingSetBytes = 100): CgroupStats {
  return {
    cpuNanoseconds,
    memory: {
      usageBytes: workingSetBytes + 50,
      workingSetBytes,
      rssBytes: 60,
      pageFaults: 7,
      majorPageFaults: 1,
      limitBytes: 1000,
      swapBytes: 5,
      swapLimitBytes: 30,
    },
    pids: 3,
  };
}

/** A collector with a clock and counters of the test's own. */
function aCollector(counters: Record<string, CgroupStats | undefined>) {
  let now = 10n * SECOND_NS;
  let readCount = 0;
  const collector = createStatsCollector({
    nowNs: () => now,
    readCgroup: ({relativePath}) => {
      readCount++;
      return counters[relativePath.slice(1)];
    },
    readNetwork: path =>
      path === '/gone'
        ? undefined
        : path === '/bare'
          ? []
          : [{name: 'eth0', rxBytes: 1n, rxErrors: 2n, txBytes: 3n, txErrors: 4n}],
  });
  return {
    collector,
    passSeconds: (seconds: number) => {
      now += BigInt(Math.round(seconds * 1e9));
    },
    readCount: () => readCount,
  };
}

/** As a client gets it. */
function container(message: MessageInitShape<typeof ContainerStatsSchema>): ContainerStats {
  return create(ContainerStatsSchema, message);
}

function sandbox(message: MessageInitShape<typeof PodSandboxStatsSchema>): PodSandboxStats {
  return create(PodSandboxStatsSchema, message);
}

test('a container’s message holds what its cgroup says', t => {
  const {collector} = aCollector({a: use(500n)});
  const stats = container(
    collector.containerStats(
      aMeasured('a', {
        writableLayer: {
          mountpoint: '/store',
          usage: {usedBytes: 4096, inodes: 2, measuredAtNs: 5n},
        },
      }),
    ),
  );
  t.is(stats.attributes?.id, 'a');
  t.deepEqual(stats.attributes?.labels, {app: 'web'});
  t.is(stats.cpu?.usageCoreNanoSeconds?.value, 500n);
  t.is(stats.cpu?.timestamp, 10n * SECOND_NS);
  t.is(stats.memory?.workingSetBytes?.value, 100n);
  t.is(stats.memory?.availableBytes?.value, 900n);
  t.is(stats.memory?.rssBytes?.value, 60n);
  t.is(stats.swap?.swapUsageBytes?.value, 5n);
  t.is(stats.swap?.swapAvailableBytes?.value, 25n);
  t.is(stats.writableLayer?.usedBytes?.value, 4096n);
  t.is(stats.writableLayer?.timestamp, 5n);
  t.is(stats.writableLayer?.fsId?.mountpoint, '/store');
  t.notThrows(() => toBinary(ContainerStatsSchema, stats));
});

test('without a limit nothing is said about what is available', t => {
  const {memory = use(1n).memory, ...rest} = use(1n);
  const unlimited = memory && (({limitBytes: _1, swapLimitBytes: _2, ...free}) => free)(memory);
  const {collector} = aCollector({a: {...rest, ...(unlimited && {memory: unlimited})}});
  const stats = container(collector.containerStats(aMeasured('a')));
  t.is(stats.memory?.availableBytes, undefined);
  t.is(stats.swap?.swapAvailableBytes, undefined);
});

test('a container whose cgroup is gone has zeros, and no layer size before it was measured', t => {
  const {collector} = aCollector({});
  const stats = container(collector.containerStats(aMeasured('a')));
  t.is(stats.cpu?.usageCoreNanoSeconds?.value, 0n);
  t.is(stats.memory?.workingSetBytes?.value, 0n);
  t.is(stats.writableLayer?.usedBytes, undefined);
});

test('the CPU rate is what was used between two readings', t => {
  const counters: Record<string, CgroupStats | undefined> = {a: use(SECOND_NS)};
  const {collector, passSeconds} = aCollector(counters);
  const rate = () => container(collector.containerStats(aMeasured('a'))).cpu?.usageNanoCores?.value;
  t.is(rate(), undefined);
  passSeconds(2);
  counters['a'] = use(2n * SECOND_NS);
  t.is(rate(), SECOND_NS / 2n);
  passSeconds(10);
  counters['a'] = undefined;
  t.is(rate(), undefined);
  counters['a'] = use(1n);
  passSeconds(10);
  t.is(rate(), undefined); // another cgroup of the same name
});

test('within a second the same reading answers, so that a rate has an interval', t => {
  const counters = {a: use(1n)};
  const {collector, passSeconds, readCount} = aCollector(counters);
  collector.containerStats(aMeasured('a'));
  passSeconds(0.9);
  collector.containerStats(aMeasured('a'));
  t.is(readCount(), 1);
  passSeconds(0.2);
  collector.containerStats(aMeasured('a'));
  t.is(readCount(), 2);
});

test('a clock that goes back gives no rate and no old answer', t => {
  const counters: Record<string, CgroupStats> = {a: use(1n)};
  const {collector, passSeconds} = aCollector(counters);
  collector.containerStats(aMeasured('a'));
  passSeconds(-5);
  counters['a'] = use(2n);
  const {cpu} = container(collector.containerStats(aMeasured('a')));
  t.is(cpu?.usageCoreNanoSeconds?.value, 2n);
  t.is(cpu?.usageNanoCores, undefined);
});

test('a pod is its own cgroup, with its containers and its network', t => {
  const {collector} = aCollector({pod: use(900n, 400), a: use(500n)});
  const stats = sandbox(
    collector.sandboxStats(aSandbox({containers: [aMeasured('a')], networkNamespace: '/ns'})),
  );
  t.is(stats.linux?.cpu?.usageCoreNanoSeconds?.value, 900n);
  t.is(stats.linux?.memory?.workingSetBytes?.value, 400n);
  t.is(stats.linux?.process?.processCount?.value, 3n);
  t.is(stats.linux?.containers[0]?.cpu?.usageCoreNanoSeconds?.value, 500n);
  t.is(stats.linux?.network?.defaultInterface?.txBytes?.value, 3n);
  t.deepEqual(
    stats.linux?.network?.interfaces.map(({name}) => name),
    ['eth0'],
  );
  t.notThrows(() => toBinary(PodSandboxStatsSchema, stats));
});

test('a pod without a cgroup of its own is the sum of its containers', t => {
  const counters: Record<string, CgroupStats> = {a: use(500n), b: use(200n)};
  const {collector, passSeconds} = aCollector(counters);
  const pod = aSandbox({cgroup: undefined, containers: [aMeasured('a'), aMeasured('b')]});
  const first = sandbox(collector.sandboxStats(pod)).linux;
  t.is(first?.cpu?.usageCoreNanoSeconds?.value, 700n);
  t.is(first?.cpu?.usageNanoCores, undefined);
  t.is(first?.memory?.workingSetBytes?.value, 200n);
  t.is(first?.process?.processCount?.value, 6n);
  passSeconds(1);
  counters['a'] = use(500n + SECOND_NS);
  counters['b'] = use(200n + SECOND_NS);
  t.is(sandbox(collector.sandboxStats(pod)).linux?.cpu?.usageNanoCores?.value, 2n * SECOND_NS);
});

test('the host’s network is not the pod’s, and a namespace that is gone has no counters', t => {
  const {collector} = aCollector({pod: use(1n)});
  t.is(sandbox(collector.sandboxStats(aSandbox())).linux?.network, undefined);
  const gone = aSandbox({networkNamespace: '/gone'});
  t.is(sandbox(collector.sandboxStats(gone)).linux?.network, undefined);
});

test('a pod whose interfaces are gone already has no network: a kubelet would die of half of one', t => {
  const {collector} = aCollector({pod: use(1n)});
  const bare = aSandbox({networkNamespace: '/bare'});
  t.is(sandbox(collector.sandboxStats(bare)).linux?.network, undefined);
});

test('pressure reaches the CRI’s fields', t => {
  const some = {avg10: 1.5, avg60: 0, avg300: 0, total: 9n};
  const {collector} = aCollector({a: {...use(1n), pressure: {cpu: {some}, io: {some}}}});
  const stats = container(collector.containerStats(aMeasured('a')));
  t.is(stats.cpu?.psi?.Some?.Avg10, 1.5);
  t.is(stats.io?.psi?.Some?.Total, 9n);
  t.is(stats.memory?.psi, undefined);
});

test('a list keeps its order and gives other work a turn', async t => {
  const ids = Array.from({length: 100}, (_, index) => `c${index}`);
  const {collector} = aCollector({});
  let turns = 0;
  let next = setImmediate(function again() {
    turns++;
    next = setImmediate(again);
  });
  const stats = await collector.listContainerStats(ids.map(id => aMeasured(id)));
  clearImmediate(next);
  t.deepEqual(
    stats.map(message => container(message).attributes?.id),
    ids,
  );
  t.true(turns >= 4);
  t.is((await collector.listSandboxStats([aSandbox(), aSandbox()])).length, 2);
});

test('interfaces are read from /proc/net/dev, the loopback left out', t => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0
  eth0:18446744073709551615 10 2 0 0 0 0 0 4000 20 3 0 0 0 0 0
`;
  t.deepEqual(parseNetworkUsage(text), [
    {name: 'eth0', rxBytes: 2n ** 64n - 1n, rxErrors: 2n, txBytes: 4000n, txErrors: 3n},
  ]);
  t.deepEqual(parseNetworkUsage(''), []);
});

test('layers are measured one at a time in the background, and again when they are old', async t => {
  const walks: string[] = [];
  let now = 0n;
  let running = 0;
  let next = Promise.withResolvers<undefined>();
  const layers = createWritableLayers({
    mountpoint: '/store',
    signal: new AbortController().signal,
    nowNs: () => now,
    measure: async id => {
      walks.push(id);
      t.is(++running, 1);
      await next.promise;
      running--;
      if (id === 'broken') throw new Error('gone');
      return {usedBytes: id.length, inodes: 1};
    },
  });
  const done = async () => {
    next.resolve(undefined);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    next = Promise.withResolvers();
  };
  t.deepEqual(layers.of('abc'), {mountpoint: '/store'});
  layers.of('abc');
  layers.of('broken');
  layers.of('d');
  t.deepEqual(walks, ['abc']);
  await done();
  t.deepEqual(walks, ['abc', 'broken', 'd']);
  t.deepEqual(layers.of('abc').usage, {usedBytes: 3, inodes: 1, measuredAtNs: 0n});
  t.is(walks.length, 3);
  now = 31n * SECOND_NS;
  t.is(layers.of('abc').usage?.usedBytes, 3);
  t.deepEqual(walks.slice(3), ['abc']);
  layers.forget('abc');
  await done();
  t.is(layers.of('abc').usage, undefined);
});

test('no layer is measured when the daemon is ending', async t => {
  const ending = new AbortController();
  ending.abort();
  const layers = createWritableLayers({
    mountpoint: '/store',
    signal: ending.signal,
    measure: () => Promise.reject(new Error('called')),
  });
  layers.of('a');
  await Promise.resolve();
  t.is(layers.of('a').usage, undefined);
});
