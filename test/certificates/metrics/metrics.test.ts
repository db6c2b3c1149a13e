import test from 'ava';
import type {Certificate} from '#certificates/apis/certificate';
import type {Issuer} from '#certificates/apis/issuer';
import {createMetrics} from '#certificates/metrics/metrics';
import type {MetricSource} from '#certificates/metrics/metrics';
import {createView, type View} from '#certificates/kube/view';
import type {KubernetesObject} from '#shared/kube/object';

interface Item<O extends KubernetesObject> {
  readonly key: string;
  readonly resourceVersion: string;
  readonly object: O;
}

function viewOf<O extends KubernetesObject>(...objects: readonly O[]): View<Item<O>> {
  const view = createView<Item<O>>({indexes: {}, onChange: () => undefined});
  for (const object of objects) view.observe(itemOf(object));
  return view;
}

function itemOf<O extends KubernetesObject>(object: O): Item<O> {
  const {namespace = '', name} = object.metadata;
  return {key: `${namespace}/${name}`, resourceVersion: '1', object};
}

function certificate(name: string, status: Certificate['status'] = {}): Certificate {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'Certificate',
    metadata: {name, namespace: 'shop'},
    spec: {secretName: name, issuerRef: {name: 'ca'}},
    status,
  };
}

const condition = (type: string, status: 'True' | 'False', reason = 'x') => ({
  type,
  status,
  reason,
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
});

function issuer(name: string, namespace?: string): Issuer {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: namespace === undefined ? 'ClusterIssuer' : 'Issuer',
    metadata: {name, ...(namespace === undefined ? {} : {namespace})},
    spec: {ca: {secretName: 'ca'}},
    status: {conditions: [condition('Ready', 'True')]},
  };
}

function metricsAt(nowMs: number) {
  const clock = {nowMs};
  const metrics = createMetrics({processFamilies: () => [], nowMs: () => clock.nowMs});
  const lines = () => [...metrics.text()].join('').split('\n');
  const value = (line: string) =>
    lines()
      .find(each => each.startsWith(`${line} `))
      ?.split(' ')
      .at(-1);
  return {clock, metrics, lines, value};
}

const source = (...certificates: readonly Certificate[]): MetricSource => ({
  views: {
    certificates: viewOf(...certificates),
    issuers: viewOf(issuer('ca', 'shop')),
    clusterIssuers: viewOf(issuer('root')),
  },
  queues: [{name: 'certificates', depth: 3}],
});

const LABELS =
  'issuer_group="cert-manager.io",issuer_kind="Issuer",issuer_name="ca",name="web",namespace="shop"';

test("a Certificate is shown as cert-manager shows it, from the controller's view", t => {
  const {metrics, value} = metricsAt(0);
  metrics.setSource(
    source(
      certificate('web', {
        conditions: [condition('Ready', 'False')],
        notBefore: '2026-01-01T00:00:00Z',
        notAfter: '2026-01-02T00:00:00Z',
        renewalTime: '2026-01-01T16:00:00Z',
      }),
    ),
  );
  for (const [status, expected] of Object.entries({True: '0', False: '1', Unknown: '0'})) {
    t.is(value(`certmanager_certificate_ready_status{condition="${status}",${LABELS}}`), expected);
  }
  t.is(value(`certmanager_certificate_not_before_timestamp_seconds{${LABELS}}`), '1767225600');
  t.is(value(`certmanager_certificate_not_after_timestamp_seconds{${LABELS}}`), '1767312000');
  t.is(value(`certmanager_certificate_expiration_timestamp_seconds{${LABELS}}`), '1767312000');
  t.is(value(`certmanager_certificate_renewal_timestamp_seconds{${LABELS}}`), '1767283200');
  t.is(value('certmanager_issuer_ready_status{condition="True",name="ca",namespace="shop"}'), '1');
  t.is(value('certmanager_clusterissuer_ready_status{condition="True",name="root"}'), '1');
  t.is(value('certmanager_clusterissuer_ready_status{condition="Unknown",name="root"}'), '0');
  t.is(value('workqueue_depth{name="certificates"}'), '3');
  t.is(value('slipway_certs_leader'), '1');
});

test('a Certificate without status is Unknown, its times are 0', t => {
  const {metrics, value} = metricsAt(0);
  metrics.setSource(source(certificate('web')));
  t.is(value(`certmanager_certificate_ready_status{condition="Unknown",${LABELS}}`), '1');
  t.is(value(`certmanager_certificate_not_after_timestamp_seconds{${LABELS}}`), '0');
});

test('every family has one header, however many objects there are', t => {
  const {metrics, lines} = metricsAt(0);
  metrics.setSource(source(...Array.from({length: 1000}, (_, n) => certificate(`c-${n}`))));
  const headers = lines().filter(line => line.startsWith('# TYPE '));
  t.is(new Set(headers).size, headers.length);
  const ready = lines().filter(line => line.startsWith('certmanager_certificate_ready_status{'));
  t.is(ready.length, 3000);
  t.is([...metrics.text()].filter(piece => piece.length > 200_000).length, 0, 'in small pieces');
});

test('a replica that stands by shows itself only', t => {
  const {metrics, lines, value} = metricsAt(12_345_678);
  metrics.setSource(source(certificate('web')));
  metrics.setSource(undefined);
  t.false(lines().some(line => line.startsWith('certmanager_certificate_')));
  t.is(value('slipway_certs_leader'), '0');
  t.is(value('certmanager_clock_time_seconds'), '12345');
  t.is(value('certmanager_clock_time_seconds_gauge'), '12345');
});

test('reconciliations are counted by queue and result', t => {
  const {metrics, value} = metricsAt(0);
  const {observer} = metrics;
  const outcome = (result: 'done' | 'requeued' | 'conflict' | 'failed') => {
    observer.outcome('issuers', {key: 'shop/ca', result, waitedMs: 2, durationMs: 20});
  };
  for (const result of ['done', 'requeued', 'conflict', 'conflict', 'failed'] as const) {
    outcome(result);
  }
  t.is(value('certmanager_controller_sync_call_count{controller="issuers"}'), '5');
  t.is(value('certmanager_controller_sync_error_count{controller="issuers"}'), '1');
  t.is(value('workqueue_retries_total{name="issuers"}'), '3');
  t.is(value('workqueue_queue_duration_seconds_bucket{name="issuers",le="0.005"}'), '5');
  t.is(value('workqueue_work_duration_seconds_bucket{name="issuers",le="0.01"}'), '0');
  t.is(value('workqueue_work_duration_seconds_count{name="issuers"}'), '5');
});

test('an issuance is timed from the decision to the new revision', t => {
  const {clock, metrics, value} = metricsAt(1_000_000);
  const {observer} = metrics;
  const before = itemOf(certificate('web'));
  const issuing = itemOf(certificate('web', {conditions: [condition('Issuing', 'True')]}));
  const issued = itemOf(
    certificate('web', {revision: 1, conditions: [condition('Ready', 'True')]}),
  );
  const key = 'shop/web';
  observer.certificateChanged({key, before, after: issuing});
  clock.nowMs += 100;
  observer.certificateChanged({key, before: issuing, after: issuing});
  clock.nowMs += 100;
  observer.certificateChanged({key, before: issuing, after: issued});
  observer.certificateChanged({key, before: issued, after: issued});
  t.is(value('slipway_certs_issuance_duration_seconds_count'), '1');
  t.is(value('slipway_certs_issuance_duration_seconds_sum'), '0.2');
});

test('an issuance that was begun before this process is timed by its condition', t => {
  const {metrics, value} = metricsAt(Date.parse('2026-01-01T00:01:00Z'));
  const issuing = itemOf(certificate('web', {conditions: [condition('Issuing', 'True')]}));
  const issued = itemOf(certificate('web', {revision: 1}));
  metrics.observer.certificateChanged({key: 'shop/web', after: issuing});
  metrics.observer.certificateChanged({key: 'shop/web', before: issuing, after: issued});
  t.is(value('slipway_certs_issuance_duration_seconds_sum'), '60');
});

test('a failed issuance is counted by issuer and reason, once', t => {
  const {metrics, value, lines} = metricsAt(0);
  const {observer} = metrics;
  const issuing = itemOf(certificate('web', {conditions: [condition('Issuing', 'True')]}));
  const failed = itemOf(
    certificate('web', {conditions: [condition('Issuing', 'False', 'Denied')]}),
  );
  const key = 'shop/web';
  observer.certificateChanged({key, after: issuing});
  observer.certificateChanged({key, before: issuing, after: failed});
  observer.certificateChanged({key, before: failed, after: failed});
  const labels = 'issuer_name="ca",issuer_kind="Issuer",issuer_group="cert-manager.io"';
  t.is(value(`slipway_certs_issuance_failures_total{${labels},reason="Denied"}`), '1');
  observer.certificateChanged({key, before: failed, after: issuing});
  observer.certificateChanged({key, before: issuing}); // deleted in the middle: neither
  t.is(value('slipway_certs_issuance_duration_seconds_count'), '0');
  t.is(lines().filter(line => line.startsWith('slipway_certs_issuance_failures_total')).length, 1);
});
