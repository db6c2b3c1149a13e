import test from 'ava';
import * as kinds from '#certificates/apis/resources';
import type {ResourceType} from '#certificates/kube/resource';
import {parseSigningRequest} from '#certificates/x509/certificate-request';
import {World} from '#test/certificates/a-world';

/** Every write of an issuance, and of a renewal: so many controllers die. */
const WRITES_MAX = 8;
const HOUR_MS = 3_600_000;

for (let n = 0; n < WRITES_MAX; n += 1) {
  test(`killed after write ${n} of an issuance: the next controller ends it with the same key`, async t => {
    const world = new World();
    await world.withIssuer();
    world.order('web');
    const keys = new Set<string>();
    await dieAfter(world, n);
    collectKeys(world, keys);
    world.restart();
    await world.settle();
    collectKeys(world, keys);
    t.like(world.condition('web', 'Ready'), {status: 'True'});
    t.is(world.condition('web', 'Issuing'), undefined);
    t.is(world.requestsOf('web').length, 1);
    t.is(keys.size, 1, 'no second key was asked for');
    t.deepEqual(world.keySecrets(), []);
    t.is(world.certificate('web')?.status?.nextPrivateKeySecretName, undefined);
    t.is(count(world, 'create CertificateRequest'), 1);
    t.true(world.writes().length <= 8, world.writes().join('\n'));
  });

  test(`killed after write ${n} of a renewal: the certificate is renewed once`, async t => {
    const world = new World();
    await world.withIssuer();
    world.order('web', {duration: '2h', renewBefore: '1h'});
    await world.settle();
    const first = world.secret('web-tls')?.data?.['tls.crt'];
    world.api.writes.length = 0;
    world.clock.advance(HOUR_MS);
    world.restart();
    await dieAfter(world, n);
    t.truthy(world.secret('web-tls')?.data?.['tls.crt'], 'there is a certificate all the time');
    world.restart();
    await world.settle();
    t.not(world.secret('web-tls')?.data?.['tls.crt'], first);
    t.is(world.certificate('web')?.status?.revision, 2);
    t.like(world.condition('web', 'Ready'), {status: 'True'});
    t.deepEqual(
      world.requestsOf('web').map(({metadata}) => metadata.name),
      ['web-2'],
    );
    t.deepEqual(world.keySecrets(), []);
    t.true(world.writes().length <= 9, world.writes().join('\n'));
  });
}

for (let n = 0; n < WRITES_MAX; n += 1) {
  test(`the answer to write ${n} is lost: it is found out what it did`, async t => {
    const world = new World();
    await world.withIssuer();
    world.order('web');
    let lost = false;
    world.api.afterWrite = () => {
      if (lost || world.api.writes.length !== n + 1) return;
      lost = true;
      throw new Error('the connection broke');
    };
    await world.settle();
    t.like(world.condition('web', 'Ready'), {status: 'True'});
    t.is(world.requestsOf('web').length, 1);
    t.is(count(world, 'create Secret'), 1);
    t.deepEqual(world.keySecrets(), []);
  });

  test(`somebody else is faster before write ${n}: it is decided again`, async t => {
    const world = new World();
    await world.withIssuer();
    world.order('web');
    let touched = false;
    world.api.obstacle = () => {
      if (touched || world.api.writes.length !== n) return;
      touched = true;
      const web = world.certificate('web');
      if (web === undefined) return;
      const metadata = {...web.metadata, labels: {touched: 'yes'}};
      world.put(kinds.certificates, {...web, metadata});
    };
    await world.settle();
    t.like(world.condition('web', 'Ready'), {status: 'True'});
    t.is(world.requestsOf('web').length, 1);
    t.is(count(world, 'create Secret'), 1);
    t.true(world.writes().length <= 8, world.writes().join('\n'));
  });
}

test('every write meets a conflict first: the issuance still comes to its end', async t => {
  const world = new World();
  await world.withIssuer();
  world.order('web');
  let turn = 0;
  world.api.obstacle = ({verb, kind, key}) => {
    turn += 1;
    if (verb !== 'update-status' || turn % 2 === 0) return;
    const resource: ResourceType =
      kind === 'Certificate' ? kinds.certificates : kinds.certificateRequests;
    const object = world.api.find(resource, key);
    if (object === undefined) return;
    const annotations = {...object.metadata.annotations, turn: `${turn}`};
    world.api.put(resource, {...object, metadata: {...object.metadata, annotations}});
  };
  await world.settle({retries: 50});
  t.like(world.condition('web', 'Ready'), {status: 'True'});
  t.is(count(world, 'create CertificateRequest'), 1);
  t.true(world.errors.length > 0);
});

async function dieAfter(world: World, writes: number): Promise<void> {
  world.api.obstacle = () => {
    if (world.api.writes.length >= writes) throw new Error('killed');
  };
  await world.settle({retries: 0}).catch(() => undefined);
  world.api.obstacle = undefined;
}

function collectKeys(world: World, keys: Set<string>): void {
  for (const {spec} of world.requestsOf('web')) {
    keys.add(parseSigningRequest(Buffer.from(spec.request, 'base64')).publicKeyDigest);
  }
}

function count(world: World, write: string): number {
  return world.writes().filter(each => each.startsWith(write)).length;
}
