// Leader election on a Lease, with client-go's rules (tools/leaderelection):
//
//   standby ──lease free, released, ours, or unchanged for leaseMs──▶ leading
//      ▲                                                                 │
//      └── somebody else holds it, or no renewal for renewMs ◀───────────┘
//
// renewMs < leaseMs: who cannot renew stops before anyone else may start. No instant written by
// another machine is compared with our clock: a lease is old when *we* have seen no change of it
// for leaseMs. Nor with our own: all that has to take a certain time is measured on a clock that
// nobody sets, or setting back the leader's would make two of them.
import {CodedError, isCoded, messageOf} from '#shared/errors';
import {ApiRefusedError} from '#shared/kube/errors';
import type {KubernetesObject} from '#shared/kube/object';
import type {Log} from '#shared/log';
import {pause, type Clock} from './clock.ts';
import type {ApiClient} from './client.ts';
import type {ResourceType} from './resource.ts';

/** coordination.k8s.io/v1 Lease, the fields we use. */
export interface LeaseObject extends KubernetesObject {
  readonly spec?: LeaseSpec;
}

interface LeaseSpec {
  readonly holderIdentity?: string; // '' or absent: free
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string; // MicroTime
  readonly renewTime?: string; // MicroTime
  readonly leaseTransitions?: number;
  readonly [field: string]: unknown;
}

export interface LeaderOptions {
  readonly client: Pick<ApiClient, 'get' | 'create' | 'update'>;
  readonly lease: {readonly namespace: string; readonly name: string};
  /**
   * Who we are; no two that live may share it. One that comes back with the same identity (a
   * container that was restarted in its pod) takes its own lease up again without waiting.
   */
  readonly identity: string;
  /** How long a lease that nobody renews is respected; default 60 s. */
  readonly leaseMs?: number;
  /** How long a leader that cannot renew goes on; default 40 s, below leaseMs. */
  readonly renewMs?: number;
  /** Between two attempts to take or renew; default 15 s. */
  readonly retryMs?: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Leads until its signal is aborted; the lease is kept until it has settled. */
  readonly lead: (signal: AbortSignal) => Promise<void>;
}

const LEASE_MS = 60_000;
const RENEW_MS = 40_000;
const RETRY_MS = 15_000;
/** One request about the lease; three of them fit into the time to renew. */
const CALL_MS_MAX = 10_000;
/** The lease is given back after our own signal was aborted. */
const RELEASE_MS = 5_000;
/** In one attempt; each means that somebody else wrote in between. */
const CONFLICTS_MAX = 3;

const leases: ResourceType<LeaseObject> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
};

/**
 * Waits to be the leader, and leads: again and again, as leadership is lost and won. Resolves when
 * `lead` has ended by itself or the signal is aborted; the lease is then free at once for the next.
 *
 * @throws what `lead` throws
 */
export async function leadWhile(options: LeaderOptions): Promise<void> {
  const election = new Election(options);
  while (!options.signal.aborted) {
    if (!(await election.campaign())) return;
    if ((await election.term()) === 'ended') return;
  }
}

class Election {
  readonly #options: Required<LeaderOptions>;
  /** The lease as last seen, and when we first saw it so. */
  #seen: {readonly object: LeaseObject; readonly atMs: number} | undefined;
  #renewedAtMs = 0;

  constructor(options: LeaderOptions) {
    this.#options = {leaseMs: LEASE_MS, renewMs: RENEW_MS, retryMs: RETRY_MS, ...options};
  }

  /** Resolves to true once we hold the lease, and to false when aborted. */
  async campaign(): Promise<boolean> {
    const {clock, signal, retryMs, log, identity} = this.#options;
    log.info('waiting to lead', {lease: this.#name, identity});
    while (!signal.aborted) {
      const asked = clock.elapsedMs();
      try {
        if (await this.#take(signal)) {
          this.#renewedAtMs = asked;
          return true;
        }
      } catch (error) {
        if (!hasAborted(signal)) this.#report('lease could not be taken', error);
      }
      await pause(clock, this.#untilNextTry(retryMs), {signal}).catch(() => undefined);
    }
    return false;
  }

  /** Leads; `lost` when another may lead by now. */
  async term(): Promise<'ended' | 'lost'> {
    const {signal, log, identity, lead} = this.#options;
    log.info('leading', {lease: this.#name, identity});
    const losing = new AbortController();
    const leading = new AbortController();
    const renewing = this.#keepRenewing(losing, leading.signal);
    const until = AbortSignal.any([signal, losing.signal]);
    try {
      await lead(until);
    } catch (error) {
      // One who waits with its signal ends by throwing the reason.
      if (!until.aborted || error !== until.reason) throw error;
    } finally {
      leading.abort(new Error('leading has ended'));
      await renewing;
      if (!losing.signal.aborted) await this.#release();
    }
    return losing.signal.aborted ? 'lost' : 'ended';
  }

  get #name(): string {
    const {namespace, name} = this.#options.lease;
    return `${namespace}/${name}`;
  }

  /** Renews until leading has ended, also while it comes to an end after an abort. */
  async #keepRenewing(losing: AbortController, signal: AbortSignal): Promise<void> {
    const {clock, retryMs, renewMs, log} = this.#options;
    const lose = (reason: string): void => {
      if (losing.signal.aborted || signal.aborted) return;
      log.warn('leadership lost', {lease: this.#name, reason});
      const hint = 'another replica leads; look at the Lease and at the reach of the API';
      losing.abort(new CodedError('ERR_LEASE_LOST', `leadership lost: ${reason}`, {hint}));
    };
    // By a timer of its own: a request that hangs must not delay it.
    const setDeadline = (): Disposable =>
      clock.after(this.#renewedAtMs + renewMs - clock.elapsedMs(), () => {
        lose(`no renewal for ${renewMs / 1_000} s`);
      });
    let deadline = setDeadline();
    while (!signal.aborted && !losing.signal.aborted) {
      await pause(clock, retryMs, {signal: AbortSignal.any([signal, losing.signal])}).catch(
        () => undefined,
      );
      if (hasAborted(signal) || hasAborted(losing.signal)) break;
      const asked = clock.elapsedMs();
      try {
        if (await this.#take(signal)) {
          this.#renewedAtMs = asked;
          deadline[Symbol.dispose]();
          deadline = setDeadline();
        } else {
          lose(`${this.#seen?.object.spec?.holderIdentity ?? 'nobody'} holds the lease`);
        }
      } catch (error) {
        if (!hasAborted(signal)) this.#report('lease could not be renewed', error);
      }
    }
    deadline[Symbol.dispose]();
  }

  /** Takes or renews the lease; false when it is somebody else's. */
  async #take(signal: AbortSignal): Promise<boolean> {
    using limited = limitCall(this.#options.clock, signal, this.#callMs);
    for (let conflicts = 0; ; conflicts += 1) {
      try {
        return await this.#tryToTake(limited.signal);
      } catch (error) {
        // Another candidate was faster, or somebody labelled the Lease: what is true is there to read.
        if (!isConflict(error) || conflicts >= CONFLICTS_MAX) throw error;
      }
    }
  }

  async #tryToTake(signal: AbortSignal): Promise<boolean> {
    const {client, identity, lease, clock} = this.#options;
    const found = await client.get(leases, lease, {signal});
    const now = clock.now();
    if (found === undefined) {
      const object = {...emptyLease(lease), spec: this.#held(now, undefined)};
      this.#see(await client.create(leases, object, {signal}));
      return true;
    }
    this.#see(found);
    const holder = found.spec?.holderIdentity ?? '';
    if (holder !== '' && holder !== identity && !this.#isOld(found)) return false;
    const spec = this.#held(now, found.spec);
    this.#see(await client.update(leases, {...found, spec}, {signal}));
    return true;
  }

  #held(now: Date, before: LeaseSpec | undefined): LeaseSpec {
    const {identity, leaseMs} = this.#options;
    const renewed = before?.holderIdentity === identity;
    const transitions = before?.leaseTransitions ?? 0;
    return {
      ...before,
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseMs / 1_000),
      acquireTime: renewed ? (before.acquireTime ?? microTime(now)) : microTime(now),
      renewTime: microTime(now),
      leaseTransitions: renewed || before === undefined ? transitions : transitions + 1,
    };
  }

  #see(object: LeaseObject): void {
    const {resourceVersion} = object.metadata;
    if (this.#seen?.object.metadata.resourceVersion === resourceVersion) return;
    this.#seen = {object, atMs: this.#options.clock.elapsedMs()};
  }

  #isOld(found: LeaseObject): boolean {
    return this.#options.clock.elapsedMs() >= this.#oldAtMs(found);
  }

  /** Its holder's own duration counts, where it is longer than ours. */
  #oldAtMs({spec}: LeaseObject): number {
    const theirsMs = (spec?.leaseDurationSeconds ?? 0) * 1_000;
    return (this.#seen?.atMs ?? 0) + Math.max(theirsMs, this.#options.leaseMs);
  }

  /** No later than the instant at which the lease becomes old. */
  #untilNextTry(retryMs: number): number {
    if (this.#seen === undefined) return retryMs;
    const leftMs = this.#oldAtMs(this.#seen.object) - this.#options.clock.elapsedMs();
    return leftMs > 0 ? Math.min(leftMs, retryMs) : retryMs;
  }

  async #release(): Promise<void> {
    const {client, clock, identity, lease} = this.#options;
    using limited = limitCall(clock, undefined, RELEASE_MS);
    try {
      const found = await client.get(leases, lease, {signal: limited.signal});
      if (found?.spec?.holderIdentity !== identity) return;
      const renewTime = microTime(clock.now());
      const spec = {...found.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime};
      await client.update(leases, {...found, spec}, {signal: limited.signal});
      this.#options.log.info('lease given back', {lease: this.#name});
    } catch (error) {
      this.#report('lease could not be given back', error); // it becomes old by itself
    }
  }

  get #callMs(): number {
    return Math.min(CALL_MS_MAX, this.#options.renewMs / 3);
  }

  #report(message: string, error: unknown): void {
    const coded = isCoded(error) ? {code: error.code, hint: error.hint} : {};
    this.#options.log.warn(message, {lease: this.#name, error: messageOf(error), ...coded});
  }
}

function emptyLease({
  namespace,
  name,
}: {
  readonly namespace: string;
  readonly name: string;
}): LeaseObject {
  return {apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: {namespace, name}};
}

/** Half-open connections swallow requests: none about the lease may wait as long as others do. */
function limitCall(
  clock: Clock,
  signal: AbortSignal | undefined,
  ms: number,
): {readonly signal: AbortSignal} & Disposable {
  const ending = new AbortController();
  const timer = clock.after(ms, () => {
    const hint = 'check that kube-apiserver answers';
    const message = `a request about the lease took more than ${ms / 1_000} s`;
    ending.abort(new CodedError('ERR_API_TIMEOUT', message, {hint}));
  });
  return {
    signal: signal === undefined ? ending.signal : AbortSignal.any([signal, ending.signal]),
    [Symbol.dispose]() {
      timer[Symbol.dispose]();
    },
  };
}

/** As it is now: the compiler takes what it saw before an await for still true. */
function hasAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

function isConflict(error: unknown): boolean {
  return error instanceof ApiRefusedError && error.status === 409;
}

/** meta/v1 MicroTime: RFC 3339 with six digits of a second. */
function microTime(at: Date): string {
  return at.toISOString().replace('Z', '000Z');
}
