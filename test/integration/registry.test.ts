import {debianRegistry} from '#test/debian-registry';
import {testRegistryContract} from '#test/registry-contract';
import test from 'ava';

const fetched = debianRegistry();

test.before('the package is fetched', async () => {
  await fetched;
});

test.after.always(async () => {
  await (await fetched)[Symbol.asyncDispose]();
});

testRegistryContract(test, "Debian's docker-registry", async () => (await fetched).start());
