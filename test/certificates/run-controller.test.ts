import test from 'ava';
import type {ControllerConfig} from '#certificates/config/flags';
import {parseFlags} from '#certificates/config/flags';
import type {Controller, ControllerOptions} from '#certificates/controller';
import {createViews} from '#certificates/controllers/views';
import {leases} from '#certificates/apis/resources';
import {systemClock} from '#certificates/kube/clock';
import {runController} from '#certificates/run-controller';
import {createLog} from '#shared/log';
import {waitFor} from '#shared/wait-for';
import {MemoryApi} from '#test/certificates/memory-api';

const nothing = (): void => undefined;
const views = createViews({
  clusterResourceNamespace: 'cert-manager',
  listeners: {
    certificates: nothing,
    certificateRequests: nothing,
    issuers: nothing,
    clusterIssuers: nothing,
    secrets: nothing,
    otherSecrets: nothing,
    signingRequests: nothing,
  },
});

/** A program whose controller does nothing but exist. */
function programOf(flags: readonly string[] = []) {
  const config: ControllerConfig = {
    ...parseFlags([
      '--leader-election-retry-period=100ms',
      '--leader-election-renew-deadline=2s',
      ...flags,
    ]),
    metricsAddress: '127.0.0.1:0',
    healthAddress: '127.0.0.1:0',
  };
  const api = new MemoryApi(systemClock);
  const ending = new AbortController();
  const lines: Readonly<Record<string, unknown>>[] = [];
  const seen = {started: [] as ControllerOptions[], disposed: 0};
  const controller: Controller = {
    views,
    queues: [{name: 'certificates', depth: 0}],
    [Symbol.asyncDispose]: () => {
      seen.disposed++;
      return Promise.resolve();
    },
  };
  const run = (
    start = (_options: ControllerOptions): Promise<Controller> => Promise.resolve(controller),
  ) =>
    runController(config, {
      client: {...api.client(), server: 'https://127.0.0.1:1'},
      clock: systemClock,
      log: createLog({
        level: 'debug',
        format: 'json',
        write: line => lines.push(JSON.parse(line) as Readonly<Record<string, unknown>>),
      }),
      identity: 'me',
      monotonicMs: () => performance.now(),
      ending: ending.signal,
      start: options => {
        seen.started.push(options);
        return start(options);
      },
    });
  const logged = (message: string) =>
    waitFor(() => Promise.resolve(lines.find(line => line['message'] === message)), {
      signal: ending.signal,
      timeoutMs: 20_000,
      intervalMs: 5,
    });
  const health = async (path: string) => {
    const {health: address} = await logged('started');
    const answer = await fetch(`http://${String(address)}${path}`);
    return `${answer.status} ${(await answer.text()).trim()}`;
  };
  const end = () => {
    ending.abort(new Error('SIGTERM was received'));
  };
  return {api, seen, lines, controller, run, logged, health, end};
}

const LEASE = 'kube-system/cert-manager-controller';

function holder(api: MemoryApi): string | undefined {
  const spec = api.find(leases, LEASE)?.['spec'] as {holderIdentity?: string} | undefined;
  return spec?.holderIdentity;
}

test('it leads, works, and gives the Lease back when it is told to end', async t => {
  const {api, seen, run, logged, health, end} = programOf();
  const running = run();
  await logged('working');
  t.is(holder(api), 'me');
  t.is(await health('/readyz'), '200 ok: working');
  end();
  await running;
  t.is(seen.disposed, 1);
  t.false(seen.started[0]?.signal.aborted ?? true, 'what is being done may come to its end');
  t.is(holder(api), '');
});

test('while another holds the Lease it stands by, is ready, and starts nothing', async t => {
  const {api, seen, run, logged, health, end} = programOf();
  const now = new Date().toISOString();
  api.put(leases, {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {namespace: 'kube-system', name: 'cert-manager-controller'},
    spec: {holderIdentity: 'cert-manager', leaseDurationSeconds: 60, renewTime: now},
  });
  const running = run();
  await logged('waiting to lead');
  t.is(await health('/readyz'), '200 ok: standing by');
  end();
  await running;
  t.deepEqual(seen.started, []);
  t.is(holder(api), 'cert-manager');
});

test('without leader election nothing is asked about a Lease', async t => {
  const {api, seen, run, logged, end} = programOf(['--leader-elect=false']);
  const running = run();
  await logged('working');
  end();
  await running;
  t.is(seen.disposed, 1);
  t.is(holder(api), undefined);
});

test('one that loses its Lease stops in the middle, stands by, and works again later', async t => {
  const {api, seen, run, logged, health, end} = programOf();
  const running = run();
  await logged('working');
  const lease = api.find(leases, LEASE);
  if (lease === undefined) return void t.fail();
  const spec = {holderIdentity: 'other', leaseDurationSeconds: 60, renewTime: new Date().toISOString()}; // prettier-ignore
  api.put(leases, {...lease, spec});
  await logged('leadership lost');
  await waitFor(() => Promise.resolve(seen.disposed === 1 ? true : undefined), {
    signal: AbortSignal.timeout(20_000),
    timeoutMs: 20_000,
  });
  t.true(seen.started[0]?.signal.aborted);
  t.is(await health('/readyz'), '200 ok: standing by');
  api.put(leases, {...lease, spec: {...spec, holderIdentity: ''}});
  await waitFor(() => Promise.resolve(seen.started.length === 2 ? true : undefined), {
    signal: AbortSignal.timeout(20_000),
    timeoutMs: 20_000,
  });
  end();
  await running;
  t.is(seen.disposed, 2);
});

test('told to end while it reads, it ends without a failure', async t => {
  const {seen, run, logged, health, end} = programOf(['--leader-elect=false']);
  const running = run(
    ({signal}) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error);
        });
      }),
  );
  await logged('started');
  await waitFor(() => Promise.resolve(seen.started.length === 1 ? true : undefined), {
    signal: AbortSignal.timeout(20_000),
    timeoutMs: 20_000,
  });
  t.is(await health('/readyz'), '200 ok: reading');
  end();
  await t.notThrowsAsync(running);
});

test('a controller that cannot start ends the program, and the Lease is free for another', async t => {
  const {api, run} = programOf();
  await t.throwsAsync(
    run(() => Promise.reject(new TypeError('a defect'))),
    {message: 'a defect'},
  );
  t.is(holder(api), '');
});
