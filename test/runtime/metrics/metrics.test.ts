import test from 'ava';
import {createMetrics} from '#runtime/metrics/metrics';
import {processFamilies} from '#shared/metrics/process-metrics';
import {serveMetrics} from '#runtime/metrics/serve';
import {formatFamily} from '#shared/metrics/text-format';

test('calls are counted by RPC, in buckets that add up', t => {
  const {record, format} = createMetrics({processFamilies: () => []});
  record({method: 'Version', status: 'OK', seconds: 0.0005});
  record({method: 'Version', status: 'OK', seconds: 0.02});
  record({method: 'Version', status: 'UNKNOWN', seconds: 1000});
  const lines = format().split('\n');
  const value = (start: string) =>
    lines
      .find(line => line.startsWith(start))
      ?.split(' ')
      .at(-1);
  const bucket = 'slipway_cri_operation_duration_seconds_bucket{operation="Version",le=';
  t.is(value(`${bucket}"0.001"`), '1');
  t.is(value(`${bucket}"0.01"`), '1');
  t.is(value(`${bucket}"0.025"`), '2');
  t.is(value(`${bucket}"60"`), '2');
  t.is(value(`${bucket}"+Inf"`), '3');
  t.is(value('slipway_cri_operation_duration_seconds_count{operation="Version"}'), '3');
  t.is(value('slipway_cri_operation_duration_seconds_sum{operation="Version"}'), '1000.0205');
  t.is(value('slipway_cri_operation_errors_total{operation="Version",status="UNKNOWN"}'), '1');
});

test('pods and containers are counted when they are asked for, once the daemon knows', t => {
  const {setGauges, format} = createMetrics({processFamilies: () => []});
  t.is(format(), '');
  let running = 1;
  setGauges({sandboxes: () => ({ready: 2}), containers: () => ({running: running++, exited: 0})});
  t.true(format().includes('\nslipway_cri_sandboxes{state="ready"} 2\n'));
  t.true(format().includes('\nslipway_cri_containers{state="running"} 2\n'));
});

test('labels are quoted as Prometheus reads them', t => {
  const samples = [{labels: {a: 'x"y\\z\n'}, value: 1}];
  t.is(
    formatFamily({name: 'n', help: 'h', type: 'gauge', samples}),
    '# HELP n h\n# TYPE n gauge\nn{a="x\\"y\\\\z\\n"} 1\n',
  );
});

test('the process tells its memory and CPU time', t => {
  const byName = new Map(
    processFamilies().map(({name, samples}) => [name, samples[0]?.value ?? 0]),
  );
  t.true((byName.get('process_resident_memory_bytes') ?? 0) > 1e6);
  t.true((byName.get('process_cpu_seconds_total') ?? 0) > 0);
  t.true((byName.get('process_open_fds') ?? 0) > 2);
});

test('metrics are served at /metrics and nothing else is', async t => {
  const server = await serveMetrics('127.0.0.1:0', () => 'a 1\n');
  t.teardown(server.close);
  const get = (path: string, method = 'GET') => fetch(`http://${server.address}${path}`, {method});
  const answer = await get('/metrics');
  t.is(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  t.is(await answer.text(), 'a 1\n');
  t.is((await get('/')).status, 404);
  t.is((await get('/metrics', 'POST')).status, 405);
  await t.throwsAsync(
    serveMetrics(server.address, () => ''),
    {code: 'ERR_METRICS_ADDRESS'},
  );
});
