import test from 'ava';
import {nearest} from '#shared/nearest';

test('nearest() finds what was meant, and nothing where nothing is near', t => {
  const keys = ['podCIDR', 'proxy', 'privateKeyFile', 'taints', 'failCgroupV1'];
  t.is(nearest('prox', keys), 'proxy');
  t.is(nearest('pod_cidr', keys), 'podCIDR');
  t.is(nearest('tiants', keys), 'taints');
  t.is(nearest('private-key-file', keys), 'privateKeyFile');
  t.is(nearest('x', keys), undefined);
  t.is(nearest('kubernetes', keys), undefined);
  t.is(nearest('a'.repeat(100_000), keys), undefined);
});
