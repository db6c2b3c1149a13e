import {isAtLeast, parseNetworkConfiguration} from '#runtime/network/configuration';
import {podBandwidth} from '#runtime/network/bandwidth';
import {podAddresses} from '#runtime/network/result';
import {FAKE_RESULT} from '#test/fake-plugins';
import test, {type ExecutionContext} from 'ava';

const list = (fields: object): string =>
  JSON.stringify({cniVersion: '1.0.0', name: 'pods', plugins: [{type: 'bridge'}], ...fields});

test('a list of plugins is taken as it is, unknown keys of plugins included', t => {
  const plugins = [
    {type: 'bridge', isGateway: true},
    {type: 'portmap', capabilities: {p: true}},
  ];
  t.deepEqual(parseNetworkConfiguration(list({plugins})), {
    name: 'pods',
    cniVersion: '1.0.0',
    disableGC: false,
    plugins,
  });
});

test('a single plugin, as before CNI 1.0, is a list of one', t => {
  const text = JSON.stringify({cniVersion: '0.3.1', name: 'pods', type: 'bridge', mtu: 1400});
  t.deepEqual(parseNetworkConfiguration(text), {
    name: 'pods',
    cniVersion: '0.3.1',
    disableGC: false,
    plugins: [{type: 'bridge', mtu: 1400}],
  });
});

test('of several offered versions the highest that we know is chosen', t => {
  const versionOf = (fields: object): string => parseNetworkConfiguration(list(fields)).cniVersion;
  t.is(versionOf({cniVersions: ['0.4.0', '1.1.0', '9.9.9']}), '1.1.0');
  t.is(versionOf({cniVersion: undefined}), '0.2.0');
  t.true(isAtLeast('1.1.0', '0.4.0'));
  t.false(isAtLeast('0.3.1', '0.4.0'));
});

const refused = test.macro((t: ExecutionContext, text: string) => {
  t.throws(() => parseNetworkConfiguration(text), {code: 'ERR_NETWORK_CONFIGURATION_INVALID'});
});

test('half a file is refused', refused, '{"cniVersion": "1.0.0", "plug');
test('a JSON list is refused', refused, '[]');
test('a network without a name is refused', refused, list({name: undefined}));
test('a name that is a path is refused', refused, list({name: '../pods'}));
test('an unknown version is refused', refused, list({cniVersion: '2.0.0'}));
test('a network without plugins is refused', refused, list({plugins: []}));
test('plugins that are no list are refused', refused, list({plugins: {type: 'bridge'}}));
test('a plugin that is no object is refused', refused, list({plugins: ['bridge']}));
test('a plugin without a type is refused', refused, list({plugins: [{}]}));
test('a plugin outside of its directory is refused', refused, list({plugins: [{type: '../sh'}]}));
test('capabilities that are no object are refused', refused, list({plugins: [{type: 'a', capabilities: 1}]})); // prettier-ignore
test('more plugins than anybody needs are refused', refused, list({plugins: Array(33).fill({type: 'a'})})); // prettier-ignore

test('the addresses are those of eth0, primary first', t => {
  t.deepEqual(podAddresses(FAKE_RESULT), ['10.1.0.9', 'fd00::9']);
});

test('the addresses of old results are found too', t => {
  t.deepEqual(podAddresses({ip4: {ip: '10.1.0.9/24'}, ip6: {ip: 'fd00::9/64'}}), ['10.1.0.9', 'fd00::9']); // prettier-ignore
  t.deepEqual(podAddresses({ips: [{version: '4', address: '10.1.0.9/24'}]}), ['10.1.0.9']);
});

test('a result without an address for the pod is a failure', t => {
  const onHost = [{address: '10.1.0.1/24', interface: 0}];
  for (const result of [{}, {ips: 'none'}, {...FAKE_RESULT, ips: onHost}, {ips: [{address: 7}]}]) {
    t.throws(() => podAddresses(result), {code: 'ERR_NETWORK_PLUGIN_FAILED'});
  }
});

const INGRESS = 'kubernetes.io/ingress-bandwidth';
const EGRESS = 'kubernetes.io/egress-bandwidth';

test('the annotations of a pod limit its bandwidth', t => {
  const rate = (text: string) => podBandwidth({[INGRESS]: text})?.ingressRate;
  t.is(podBandwidth({other: '1'}), undefined);
  t.like(podBandwidth({[EGRESS]: '10M'}), {egressRate: 10_000_000, ingressRate: undefined});
  const texts = ['1k', '1.5M', '1Ki', '2e6', '1E-3P', '1000000m', '1P'];
  t.deepEqual(texts.slice(0, 4).map(rate), [1_000, 1_500_000, 1_024, 2_000_000]);
  t.is(rate('1000000m'), 1_000);
  t.is(rate('1P'), 1e15);
});

test('a bandwidth that is none is refused', t => {
  for (const text of ['', '10X', '-1M', '1', '2P', '1e999', 'M', '1 M', '0x10']) {
    t.throws(() => podBandwidth({[INGRESS]: text}), {code: 'ERR_REQUEST_INVALID'}, text);
  }
});
