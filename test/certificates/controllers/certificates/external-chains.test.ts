import test from 'ava';
import {parseSigningRequest} from '#certificates/x509/certificate-request';
import {parseCertificate} from '#certificates/x509/certificate';
import {createCertificate} from '#certificates/x509/create-certificate';
import {EXTERNAL, aWorld, type World} from '#test/certificates/a-world';
import {aCa, base64, unbase64, type ACa} from '#test/certificates/issuing';

/** The chains of external issuers: they order them as they like, and add what they like. */

const validity = {
  notBefore: new Date('2026-01-01T00:00:00Z'),
  notAfter: new Date('2027-01-01T00:00:00Z'),
};
const root = await aCa({name: 'Root', ...validity});
const otherRoot = await aCa({name: 'Other root', ...validity});
const intermediate = await aCa({name: 'Intermediate', above: root, ...validity});
const crossSigned = parseCertificate(
  createCertificate({
    subject: intermediate.certificate.subject,
    names: [],
    publicKey: intermediate.key,
    ...validity,
    usages: ['cert sign'],
    isCa: true,
    issuer: otherRoot,
  }),
);

const accepts = test.macro(async (t, order: (leaf: string) => readonly (string | ACa)[]) => {
  const world = await ordered();
  const leaf = leafFor(world);
  const chain = order(leaf).map(pemOf).join('');
  issue(world, chain);
  await world.settle();
  t.like(world.condition('web', 'Ready'), {status: 'True'});
  t.is(unbase64(world.secret('web-tls')?.data?.['tls.crt']), chain);
  const before = world.writes().length;
  await world.advance(60_000);
  t.is(world.writes().length, before, 'and it is left alone');
});

test('an intermediate in two cross-signed versions is taken as it is', accepts, leaf => [
  leaf,
  intermediate,
  crossSigned.pem,
]);
test('a root that has nothing to do with the chain is taken as it is', accepts, leaf => [
  leaf,
  intermediate,
  root,
  otherRoot,
]);
test('a chain whose issuers are out of order is taken as it is', accepts, leaf => [
  leaf,
  root,
  intermediate,
]);

test('a chain that does not begin with the leaf is a failure, which waits an hour', async t => {
  const world = await ordered();
  issue(world, [root, intermediate, leafFor(world)].map(pemOf).join(''));
  await world.settle();
  t.like(world.condition('web', 'Issuing'), {status: 'False', reason: 'InvalidCertificate'});
  t.regex(world.condition('web', 'Issuing')?.message ?? '', /has to put the leaf first/);
  t.is(world.secret('web-tls'), undefined);
  const before = world.writes().length;
  await world.advance(3_590_000);
  t.is(world.writes().length, before);
});

test('a chain that is longer than a Secret may have is a failure', async t => {
  const world = await ordered();
  issue(world, leafFor(world) + '\u00fc'.repeat(47_500));
  await world.settle();
  t.like(world.condition('web', 'Issuing'), {status: 'False', reason: 'InvalidCertificate'});
});

test('a chain with text that is not UTF-8 is written once', async t => {
  const world = await ordered();
  const chain = Buffer.concat([Buffer.from([0xff, 0x0a]), Buffer.from(leafFor(world))]);
  issue(world, chain);
  await world.settle();
  t.like(world.condition('web', 'Ready'), {status: 'True'});
});

async function ordered(): Promise<World> {
  const world = await aWorld();
  world.order('web', EXTERNAL);
  await world.settle();
  return world;
}

/** The certificate that the issuer makes for the request. */
function leafFor(world: World): string {
  const csr = parseSigningRequest(unbase64(world.request('web-1')?.spec.request));
  return createCertificate({
    subject: csr.subject,
    names: csr.names,
    publicKey: csr.publicKey,
    ...validity,
    usages: ['digital signature', 'key encipherment'],
    isCa: false,
    issuer: intermediate,
  });
}

function issue(world: World, chain: string | Buffer): void {
  const ready = {type: 'Ready', status: 'True', reason: 'Issued', message: 'there'};
  const certificate = typeof chain === 'string' ? base64(chain) : chain.toString('base64');
  world.answer('web-1', {conditions: [ready], certificate});
}

function pemOf(link: string | ACa): string {
  return typeof link === 'string' ? link : link.certificate.pem;
}
