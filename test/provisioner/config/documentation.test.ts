import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {generateDocumentation} from '#test/configuration-documentation';
import {
  contains,
  formatIpv4,
  overlaps,
  parseCidr,
  parseIpv4,
  specialUseOf,
} from '#provisioner/config/ipv4';
import {describeValue, formatPath} from '#provisioner/config/problem';
import {parseQuantity} from '#provisioner/config/quantity';
import {writeFileAtomic} from '#shared/files';

const root = join(import.meta.dirname, '../../..');

for (const [path, text] of Object.entries(generateDocumentation())) {
  test(`${path} is what the schema generates (UPDATE_GOLDEN=1 renews it)`, async t => {
    const file = join(root, path);
    if (process.env['UPDATE_GOLDEN'] === '1') await writeFileAtomic(file, text);
    t.is(await readFile(file, 'utf8'), text);
  });
}

test('parseIpv4() takes dotted decimal only', t => {
  t.is(parseIpv4('10.0.0.1'), 0x0a000001);
  t.is(parseIpv4('255.255.255.255'), 0xffffffff);
  for (const text of ['', '10.0.0', '10.0.0.256', '10.0.0.01', '10.0.0.1 ', '::1', '0x0a.0.0.1']) {
    t.is(parseIpv4(text), undefined, text);
  }
});

test('formatIpv4() reverses parseIpv4()', t => {
  for (const text of ['0.0.0.0', '10.96.0.10', '192.168.255.1', '255.255.255.255']) {
    t.is(formatIpv4(parseIpv4(text) ?? NaN), text);
  }
});

test('parseCidr() drops host bits and knows its ends', t => {
  const cidr = parseCidr('200.1.2.3/20');
  t.is(cidr?.text, '200.1.0.0/20');
  t.is(formatIpv4(cidr?.last ?? 0), '200.1.15.255');
  t.is(parseCidr('0.0.0.0/0')?.last, 0xffffffff);
  t.is(parseCidr('10.0.0.1/32')?.first, 0x0a000001);
  for (const text of ['10.0.0.0', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/08', '10.0.0.0/8/8']) {
    t.is(parseCidr(text), undefined, text);
  }
});

test('overlaps() and contains() include both ends', t => {
  const [outer, inner, next] = ['10.0.0.0/8', '10.255.255.0/24', '11.0.0.0/8'].map(parseCidr);
  if (!outer || !inner || !next) return t.fail();
  t.true(overlaps(outer, inner) && overlaps(inner, outer));
  t.false(overlaps(outer, next) || overlaps(next, inner));
  const edge = parseCidr('10.255.255.255/32');
  t.true(edge !== undefined && overlaps(edge, outer) && overlaps(outer, edge));
  t.true(contains(outer, outer.first) && contains(outer, outer.last));
  t.false(contains(outer, outer.last + 1));
});

test('specialUseOf() tells addresses that no host can have', t => {
  for (const text of ['127.0.0.1', '0.0.0.0', '224.0.0.1', '255.255.255.255', '169.254.1.1']) {
    t.not(specialUseOf(parseIpv4(text) ?? NaN), undefined, text);
  }
  t.is(specialUseOf(parseIpv4('10.0.0.1') ?? NaN), undefined);
});

test('parseQuantity() reads decimal and binary units', t => {
  t.is(parseQuantity('1700Mi'), 1700 * 2 ** 20);
  t.is(parseQuantity('2G'), 2e9);
  t.is(parseQuantity('5'), 5);
  for (const text of ['', 'Mi', '1.5Gi', '-1', '1 Gi', '1gb', '999999999999999Ti']) {
    t.is(parseQuantity(text), undefined, text);
  }
});

test('formatPath() can be read and told apart', t => {
  t.is(formatPath(['spec', 'hosts', 2, 'name']), 'spec.hosts[2].name');
  t.is(formatPath(['os', 'net.core.x']), 'os."net.core.x"');
});

test('describeValue() is one short line without secrets', t => {
  t.is(describeValue('a\nb'), '"a b"');
  t.is(describeValue({a: 1}), 'a map');
  t.is(describeValue('http://u:secret@x/'), '"http://[redacted]@x/"');
  t.false(describeValue('-----BEGIN PRIVATE KEY-----').includes('BEGIN'));
  t.true(describeValue('x'.repeat(1000)).length < 100);
});
