import {createHistogram} from '#shared/metrics/histogram';
import type {MetricFamily} from '#shared/metrics/text-format';
import type {Certificate} from '../apis/certificate.ts';
import {type Condition, findCondition} from '../apis/conditions.ts';
import {issuerReference} from '../apis/issuer-reference.ts';
import {parseTime} from '../apis/time.ts';
import type {Item} from '../controllers/views.ts';
import type {ViewChange} from '../kube/view.ts';

/** How long issuances take and how they fail, seen in the changes of Certificates. */
export interface Issuances {
  certificateChanged(change: ViewChange<Item<Certificate>>): void;
  families(): readonly MetricFamily[];
}

/** Upper bounds in seconds: from a CA in memory to an ACME server that looks at DNS. */
const BUCKETS_SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];

/** Issuers and reasons are few; what is beyond is counted as `other`. */
const SERIES_MAX = 1_000;

/** @param nowMs of the wall clock, in Unix milliseconds */
export function createIssuances({nowMs}: {readonly nowMs: () => number}): Issuances {
  const startedAtMs = new Map<string, number>();
  const seconds = createHistogram(BUCKETS_SECONDS);
  const failures = new Map<string, {readonly labels: Labels; count: number}>();
  return {
    certificateChanged: ({key, before, after}) => {
      if (after === undefined) {
        startedAtMs.delete(key);
        return;
      }
      const was = before === undefined ? undefined : issuing(before.object);
      const is = issuing(after.object);
      if (is?.status === 'True') {
        if (was?.status === 'True') return;
        // Seen from its beginning it is known to the millisecond, else to the second.
        const startedAt = before === undefined ? parseTime(is.lastTransitionTime) : undefined;
        startedAtMs.set(key, startedAt?.getTime() ?? nowMs());
        return;
      }
      const startedMs = startedAtMs.get(key);
      startedAtMs.delete(key);
      if (before === undefined || startedMs === undefined) return;
      if (revision(after.object) > revision(before.object)) {
        seconds.record(Math.max(0, (nowMs() - startedMs) / 1000));
      } else if (is !== undefined) {
        countFailure(failures, {...issuerLabels(after.object), reason: is.reason ?? ''});
      }
    },
    families: () => [
      {
        name: 'slipway_certs_issuance_duration_seconds',
        help: 'Time from the decision to issue to the written Secret.',
        type: 'histogram',
        samples: seconds.samples(),
      },
      {
        name: 'slipway_certs_issuance_failures_total',
        help: 'Issuances that ended without a certificate, by issuer and reason.',
        type: 'counter',
        samples: [...failures.values()].map(({labels, count}) => ({labels, value: count})),
      },
    ],
  };
}

type Labels = Readonly<Record<string, string>>;

function countFailure(
  failures: Map<string, {readonly labels: Labels; count: number}>,
  labels: Labels,
): void {
  const known = failures.has(JSON.stringify(labels)) || failures.size < SERIES_MAX;
  const counted = known ? labels : {issuer_name: '', issuer_kind: '', issuer_group: '', reason: 'other'}; // prettier-ignore
  const key = JSON.stringify(counted);
  const failure = failures.get(key) ?? {labels: counted, count: 0};
  failures.set(key, failure);
  failure.count++;
}

function issuerLabels({spec}: Certificate): Labels {
  const {name, kind, group} = issuerReference(spec.issuerRef);
  return {issuer_name: name, issuer_kind: kind, issuer_group: group};
}

function issuing({status}: Certificate): Condition | undefined {
  return findCondition(status?.conditions, 'Issuing');
}

function revision({status}: Certificate): number {
  return status?.revision ?? 0;
}
