import test from 'ava';
import {leadWhile, type LeaseObject} from '#certificates/kube/lease';
import type {LeaderOptions} from '#certificates/kube/lease';
import {ApiRefusedError} from '#shared/kube/errors';
import {createLog} from '#shared/log';
import {MovableClock} from '#test/certificates/movable-clock';

/** One Lease in memory, with the API's lock. */
class LeaseStore {
  lease: LeaseObject | undefined;
  /** Before each write: a test changes what it finds, or throws. */
  beforeWrite: () => void | Promise<void> = () => undefined;
  beforeRead: () => void | Promise<void> = () => undefined;
  writes = 0;
  #version = 1;

  set(spec: LeaseObject['spec']): void {
    this.#version += 1;
    this.lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {namespace: 'n', name: 'l', resourceVersion: `${this.#version}`},
      ...(spec === undefined ? {} : {spec}),
    };
  }

  get holder(): string | undefined {
    return this.lease?.spec?.holderIdentity;
  }

  /** As somebody with a right to write sees it. */
  client(): LeaderOptions['client'] {
    const write = async (object: LeaseObject): Promise<LeaseObject> => {
      await this.beforeWrite();
      this.writes += 1;
      if (this.lease?.metadata.resourceVersion !== object.metadata.resourceVersion) {
        throw new ApiRefusedError('write', {status: 409, reason: 'Conflict', message: ''});
      }
      this.set(object.spec);
      return this.lease as LeaseObject;
    };
    const get = async (signal: AbortSignal): Promise<LeaseObject | undefined> => {
      const aborted = new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error);
        });
      });
      await Promise.race([this.beforeRead(), aborted]);
      return this.lease;
    };
    // The types are those of the API's generic calls.
    return {
      get: (_, __, {signal}) => get(signal),
      create: (_, object) => write(object),
      update: (_, object) => write(object),
    } as LeaderOptions['client'];
  }
}

interface Candidate {
  readonly done: Promise<void>;
  readonly stop: () => void;
  readonly leads: () => boolean;
  readonly terms: () => number;
}

interface Bench {
  readonly store: LeaseStore;
  readonly clock: MovableClock;
  readonly lines: string[];
  readonly candidate: (identity: string, options?: Partial<LeaderOptions>) => Candidate;
  /** Moves on by seconds, one by one, and lets everybody act. */
  readonly seconds: (count: number) => Promise<void>;
}

function aBench(): Bench {
  const clock = new MovableClock({start: new Date('2026-01-01T00:00:00Z'), frozen: true});
  const store = new LeaseStore();
  const lines: string[] = [];
  const log = createLog({level: 'debug', write: line => lines.push(line)});
  return {
    store,
    clock,
    lines,
    candidate(identity, options = {}) {
      const stopping = new AbortController();
      let leading = false;
      let terms = 0;
      const done = leadWhile({
        client: store.client(),
        lease: {namespace: 'n', name: 'l'},
        identity,
        clock,
        log,
        signal: stopping.signal,
        async lead(signal) {
          leading = true;
          terms += 1;
          await new Promise<void>(resolve => {
            signal.addEventListener('abort', () => {
              resolve();
            });
          });
          leading = false;
        },
        ...options,
      });
      return {
        done,
        stop: () => {
          stopping.abort(new Error('enough'));
        },
        leads: () => leading,
        terms: () => terms,
      };
    },
    async seconds(count) {
      for (let second = 0; second < count; second += 1) {
        await settle();
        clock.advance(1_000);
      }
      await settle();
    },
  };
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(resolve => setImmediate(resolve));
}

test('who comes first leads, renews, and gives the lease back at the end', async t => {
  const {store, candidate, seconds} = aBench();
  const one = candidate('one');
  await seconds(0);
  t.true(one.leads());
  const {renewTime, acquireTime} = store.lease?.spec ?? {};
  t.is(renewTime, '2026-01-01T00:00:00.000000Z');
  await seconds(16);
  t.is(store.lease?.spec?.renewTime, '2026-01-01T00:00:15.000000Z');
  t.is(store.lease?.spec?.acquireTime, acquireTime);
  t.is(store.lease?.spec?.leaseDurationSeconds, 60);
  one.stop();
  await one.done;
  t.false(one.leads());
  t.is(store.holder, '');
});

test('the next one leads within one try after the lease was given back', async t => {
  const {store, candidate, seconds} = aBench();
  const one = candidate('one');
  await seconds(1);
  const two = candidate('two');
  await seconds(1);
  t.false(two.leads());
  one.stop();
  await one.done;
  await seconds(15);
  t.true(two.leads());
  t.is(store.lease?.spec?.leaseTransitions, 1);
});

test('a lease that is not renewed is respected for its whole duration as we see it, whatever its clock says', async t => {
  const {store, candidate, seconds} = aBench();
  const spec = {
    holderIdentity: 'dead',
    leaseDurationSeconds: 60,
    renewTime: '2020-01-01T00:00:00.000000Z',
  };
  store.set(spec);
  const one = candidate('one');
  await seconds(59);
  t.false(one.leads());
  await seconds(1);
  t.true(one.leads());
  t.is(store.lease?.spec?.leaseTransitions, 1);
});

test('a holder whose clock is far behind keeps its lease as long as it renews', async t => {
  const {store, candidate, seconds} = aBench();
  store.set({
    holderIdentity: 'other',
    leaseDurationSeconds: 60,
    renewTime: '2020-01-01T00:00:00.000000Z',
  });
  const one = candidate('one');
  for (let round = 0; round < 10; round += 1) {
    await seconds(30);
    store.set({...store.lease?.spec, renewTime: `2020-01-01T00:00:0${round}.000000Z`});
  }
  t.false(one.leads());
  one.stop();
  await one.done;
  t.is(store.holder, 'other', 'what is not ours is not given back');
});

test('a longer duration than ours, which the holder wrote, is respected', async t => {
  const {store, candidate, seconds} = aBench();
  store.set({holderIdentity: 'dead', leaseDurationSeconds: 120});
  const one = candidate('one');
  await seconds(119);
  t.false(one.leads());
  await seconds(1);
  t.true(one.leads());
});

test('one that comes back with its identity leads at once', async t => {
  const {store, candidate, seconds} = aBench();
  store.set({holderIdentity: 'one', leaseDurationSeconds: 60, leaseTransitions: 3});
  const one = candidate('one');
  await seconds(0);
  t.true(one.leads());
  t.is(store.lease?.spec?.leaseTransitions, 3);
});

test('a leader that cannot renew stops before anyone else may lead, and stands by again', async t => {
  const {store, candidate, seconds, lines} = aBench();
  const one = candidate('one');
  await seconds(1);
  store.beforeWrite = () => {
    throw new Error('the API is gone');
  };
  await seconds(38);
  t.true(one.leads());
  await seconds(1);
  t.false(one.leads(), '40 s after the last renewal, and 20 s before the lease is old');
  t.true(lines.some(line => line.includes('leadership lost')));
  store.beforeWrite = () => undefined;
  await seconds(15);
  t.true(one.leads());
  t.is(one.terms(), 2);
});

test('a leader whose clock is set back stops as soon as any other that cannot renew', async t => {
  const {store, clock, candidate, seconds} = aBench();
  const one = candidate('one');
  await seconds(1);
  store.beforeWrite = () => {
    throw new Error('the API is gone');
  };
  await seconds(10);
  clock.shift(-4 * 60_000);
  await seconds(28);
  t.true(one.leads());
  await seconds(1);
  t.false(one.leads());
});

test('a clock that is set, back or on, delays no renewal and ends no term', async t => {
  const {store, clock, candidate, seconds} = aBench();
  const one = candidate('one');
  await seconds(1);
  for (const ms of [-4 * 60_000, 4 * 60_000]) {
    clock.shift(ms);
    const before = store.writes;
    await seconds(60);
    t.is(store.writes, before + 4);
  }
  t.true(one.leads());
  t.is(one.terms(), 1);
  t.is(store.lease?.spec?.renewTime, '2026-01-01T00:02:00.000000Z');
});

test('one who waits takes a dead lease after its duration, however its own clock is set', async t => {
  for (const ms of [-4 * 60_000, 4 * 60_000]) {
    const {store, clock, candidate, seconds} = aBench();
    store.set({holderIdentity: 'dead', leaseDurationSeconds: 60});
    const one = candidate('one');
    await seconds(30);
    clock.shift(ms);
    await seconds(29);
    t.false(one.leads());
    await seconds(1);
    t.true(one.leads());
  }
});

test('a request about the lease that hangs delays neither the loss nor the next request', async t => {
  const {store, candidate, seconds} = aBench();
  const one = candidate('one');
  await seconds(1);
  store.beforeRead = () => new Promise(() => undefined);
  await seconds(40);
  t.false(one.leads());
});

test('a lease that another holds is lost at the next renewal', async t => {
  const {store, candidate, seconds} = aBench();
  const one = candidate('one');
  await seconds(1);
  store.set({holderIdentity: 'thief', leaseDurationSeconds: 60});
  await seconds(15);
  t.false(one.leads());
  one.stop();
  await one.done;
  t.is(store.holder, 'thief');
});

test('a conflict of a renewal is read again, and is no loss', async t => {
  const {store, candidate, seconds} = aBench();
  const one = candidate('one');
  await seconds(1);
  let label = 1;
  store.beforeWrite = () => {
    if (label > 0) store.set(store.lease?.spec); // somebody labels the Lease
    label -= 1;
  };
  await seconds(16);
  t.true(one.leads());
  t.is(one.terms(), 1);
  t.is(store.lease?.spec?.renewTime, '2026-01-01T00:00:15.000000Z');
});

test('of two candidates for a free lease one leads, and the other stands by', async t => {
  const {store, candidate, seconds} = aBench();
  store.set({holderIdentity: ''});
  const [one, two] = [candidate('one'), candidate('two')];
  await seconds(1);
  t.not(one.leads(), two.leads());
  await seconds(120);
  t.not(one.leads(), two.leads());
  t.is(one.terms() + two.terms(), 1);
});

test('leading that ends by itself gives the lease back; its failure is thrown after that', async t => {
  const {store, candidate} = aBench();
  await candidate('one', {lead: () => Promise.resolve()}).done;
  t.is(store.holder, '');
  const failure = new Error('defect');
  const two = candidate('two', {lead: () => Promise.reject(failure)});
  t.is(await t.throwsAsync(two.done), failure);
  t.is(store.holder, '');
});

test('the lease is renewed while leading comes to its end', async t => {
  const {store, candidate, seconds} = aBench();
  const finishing = Promise.withResolvers<undefined>();
  const one = candidate('one', {lead: () => finishing.promise.then(() => undefined)});
  await seconds(1);
  one.stop();
  await seconds(60);
  t.is(store.holder, 'one');
  t.is(store.lease?.spec?.renewTime, '2026-01-01T00:01:00.000000Z');
  finishing.resolve(undefined);
  await one.done;
  t.is(store.holder, '');
});

test('leaving a closed API is not waited for', async t => {
  const {store, candidate, seconds, clock} = aBench();
  const one = candidate('one');
  await seconds(1);
  store.beforeRead = () => new Promise(() => undefined);
  one.stop();
  await seconds(6);
  await one.done;
  t.is(store.holder, 'one');
  t.is(clock.pending, 0);
});
