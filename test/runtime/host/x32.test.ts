import {answersX32} from '#runtime/host/x32';
import test from 'ava';

const {signal} = new AbortController();

test('x32 is absent only where the kernel said so', async t => {
  t.false(await answersX32('/bin/false', signal), 'status 1');
  t.true(await answersX32('/bin/true', signal));
  t.true(await answersX32('/no/such/program', signal));
  t.true(await answersX32('/bin/sh', signal), 'another status: a program that does not know it');
  await t.throwsAsync(answersX32('/bin/true', AbortSignal.abort(new Error('enough'))), {
    message: 'enough',
  });
});
