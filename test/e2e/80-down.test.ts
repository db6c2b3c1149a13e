/** The end of the lab. */
import test from 'ava';
import {existsSync} from 'node:fs';
import {readdir} from 'node:fs/promises';
import {provision} from '#test/e2e/command-line';
import {must, raiseLab} from '#test/e2e/the-lab';
import {snapshotMachine} from '#test/run/leftovers';

/** Names that a lab gives; tests of the runtime, which may run meanwhile, give others. */
const OF_A_LAB = /slipway-lab|slw-|\.lab\/| slipway(0|-net|-site|-h\d+)$/;

test.before('a lab', async () => {
  await raiseLab(1);
});

test('lab down leaves no process, mount, namespace, interface, control group or rule', async t => {
  t.regex((await must(['lab', 'down'])).stdout, /^lab is down$/m);
  const left = Object.entries(await snapshotMachine()).flatMap(([kind, names]) =>
    names.map(name => `${kind} ${name}`).filter(name => OF_A_LAB.test(name)),
  );
  t.deepEqual(left, []);
  t.false(existsSync('/run/slipway-lab'));
  t.deepEqual(await processesOfLab(), []);
  t.regex((await must(['lab', 'down'])).stdout, /^no lab was up$/m);
});

test('without a lab, a command needs the name of a cluster file', async t => {
  const {exitCode, codes} = await provision(['plan']);
  t.is(exitCode, 2);
  t.deepEqual(codes, ['ERR_USAGE']);
});

async function processesOfLab(): Promise<readonly string[]> {
  const ids = (await readdir('/proc')).filter(name => /^\d+$/.test(name));
  return ids.filter(id => existsSync(`/proc/${id}/root/etc/ssh/lab_authorized_keys`));
}
