import test from 'ava';
import {World} from '#test/certificates/a-world';

test('an issuance takes seven writes, in the order that survives a crash', async t => {
  const world = new World();
  await world.withIssuer();
  world.order('web');
  await world.settle();
  const [, key = ''] =
    /create Secret shop\/(web-[a-z0-9]{5})/.exec(world.writes().join('\n')) ?? [];
  t.deepEqual(world.writes(), [
    'update-status Certificate shop/web',
    `create Secret shop/${key}`,
    'create CertificateRequest shop/web-1',
    'update-status CertificateRequest shop/web-1',
    'apply Secret shop/web-tls',
    'update-status Certificate shop/web',
    `delete Secret shop/${key}`,
  ]);
  t.like(world.condition('web', 'Ready'), {status: 'True', reason: 'Ready', observedGeneration: 1});
  t.is(world.condition('web', 'Issuing'), undefined);
  t.is(world.certificate('web')?.status?.revision, 1);
  t.deepEqual(world.errors, []);
});
