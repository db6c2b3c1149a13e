import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {CodedError} from '#shared/errors';
import {hostIdentities, hostIdentity, hostNumber, refuseForeignAddresses} from '#lab/addresses';
import {labErrors} from '#lab/errors';
import {labCacheFolder, labFolders} from '#lab/folders';
import {clusterDocument, hostsDocument} from '#lab/inventory-files';
import {hostNumbers} from '#lab/lab-up';
import {bootFailure} from '#lab/host/lab-host';
import {decideOwner, withOperation} from '#lab/lock';
import {quoteOutput} from '#lab/machine-command';
import {missingPackages} from '#lab/machine-tools';
import {labNames} from '#lab/names';
import {sshArguments} from '#lab/ssh';
import {waitInTime} from '#lab/wait-in-time';

test('a host follows from its number: name, address, hardware address', t => {
  t.deepEqual(hostIdentity(1), {name: 'h1', address: '10.89.0.11', mac: '02:53:4c:57:00:0b'});
  t.deepEqual(hostIdentity(64), {name: 'h64', address: '10.89.0.74', mac: '02:53:4c:57:00:4a'});
});

test('hardware addresses are unicast and locally administered, and differ', t => {
  const macs = hostIdentities(64).map(({mac}) => mac);
  t.is(new Set(macs).size, 64);
  for (const mac of macs) t.is(parseInt(mac.slice(0, 2), 16) & 0b11, 0b10);
});

test('only names of hosts have a number', t => {
  t.is(hostNumber('h12'), 12);
  for (const name of ['h0', 'h01', 'h65', 'H1', 'h1x', 'site', '.new-h1', '']) {
    t.is(hostNumber(name), undefined, name);
  }
});

test("another interface in the lab's network is refused by name", t => {
  const error = t.throws(
    () => {
      refuseForeignAddresses([{interfaceName: 'cni-podman1', address: '10.89.0.1'}], 'slipway0');
    },
    {instanceOf: CodedError},
  );
  t.is(error.code, 'ERR_LAB_ADDRESS_IN_USE');
  t.true(error.message.includes('cni-podman1'));
});

test("the lab's own interface and neighbouring networks are no conflict", t => {
  t.notThrows(() => {
    refuseForeignAddresses(
      [
        {interfaceName: 'slipway0', address: '10.89.0.1'},
        {interfaceName: 'eth0', address: '10.89.1.1'},
      ],
      'slipway0',
    );
  });
});

test('interface names fit into the kernel, for every host', t => {
  const names = [
    labNames.bridge,
    labNames.machinePort,
    labNames.port('site'),
    labNames.port('h64'),
  ];
  for (const name of names) t.true(name.length < 16, name);
});

const owned = {checkout: '/a', hasProcesses: true, ownerExists: true};

test('a machine without a lab is free', t => {
  t.deepEqual(decideOwner({...owned, owner: undefined}), {kind: 'free'});
});

test('a checkout works on its own lab, also when all of it is dead', t => {
  t.deepEqual(decideOwner({...owned, owner: '/a'}), {kind: 'ours'});
  t.deepEqual(decideOwner({...owned, owner: '/a', hasProcesses: false}), {kind: 'ours'});
});

test('a living lab of another checkout is not ours to touch', t => {
  t.deepEqual(decideOwner({...owned, owner: '/b'}), {kind: 'other', owner: '/b'});
});

test('a dead lab of another checkout is taken over', t => {
  const decision = decideOwner({...owned, owner: '/b', hasProcesses: false});
  t.deepEqual(decision, {kind: 'abandoned', owner: '/b'});
});

test('the lab of a deleted checkout is taken over', t => {
  const decision = decideOwner({...owned, owner: '/b', ownerExists: false});
  t.deepEqual(decision, {kind: 'abandoned', owner: '/b'});
});

test('one operation at a time: the second is refused, a later one is not', async t => {
  const name = `slipway-lab-test-${process.pid}`;
  await withOperation(async () => {
    const error = await t.throwsAsync(
      withOperation(() => Promise.resolve(), name),
      {
        instanceOf: CodedError,
      },
    );
    t.is(error.code, 'ERR_LAB_BUSY');
  }, name);
  t.is(await withOperation(() => Promise.resolve(7), name), 7);
});

test('a failed operation leaves no lock', async t => {
  const name = `slipway-lab-test-failed-${process.pid}`;
  await t.throwsAsync(
    withOperation(() => Promise.reject(new Error('broken')), name),
    {
      message: 'broken',
    },
  );
  t.is(await withOperation(() => Promise.resolve(7), name), 7);
});

test('a deadline that passes is told with what was waited for and what to do; an abort stays one', async t => {
  const wait = {
    timeoutMs: 20,
    intervalMs: 1,
    code: 'ERR_LAB_STUCK',
    message: 'h1 did not stand still',
    hint: 'try again',
  } as const;
  const {signal} = new AbortController();
  const never = () => Promise.resolve(undefined);
  const error = await t.throwsAsync<CodedError>(waitInTime(never, {...wait, signal}), {
    code: 'ERR_LAB_STUCK',
    message: 'h1 did not stand still within 0.02 s',
  });
  t.is(error.hint, 'try again');
  const aborted = AbortSignal.abort(new Error('interrupted'));
  await t.throwsAsync(waitInTime(never, {...wait, signal: aborted}), {message: 'interrupted'});
  const broken = () => Promise.reject(new TypeError('ours'));
  await t.throwsAsync(waitInTime(broken, {...wait, signal}), {instanceOf: TypeError});
});

test('a host that does not answer since its cable is cut is to be healed', t => {
  const given = {name: 'h2', log: 'one\ntwo\n', logFile: '/l/supervisor.log'};
  const cut = bootFailure({...given, isCut: true});
  t.is(cut.code, 'ERR_LAB_HOST_FAILED');
  t.regex(cut.hint, /provision lab heal h2/);
  const failed = bootFailure({...given, isCut: false});
  t.regex(failed.message, /one\ntwo$/);
  t.regex(failed.hint, /\/l\/supervisor\.log/);
});

test('a new lab has the default number of hosts', t => {
  t.deepEqual(hostNumbers({existing: [], wanted: undefined, byDefault: 3}), [1, 2, 3]);
});

test('a lab grows, keeps the hosts it has, and never shrinks', t => {
  const existing = ['h2', 'h1', '.new-h3'];
  t.deepEqual(hostNumbers({existing, wanted: 4, byDefault: 3}), [1, 2, 3, 4]);
  t.deepEqual(hostNumbers({existing, wanted: 1, byDefault: 3}), [1, 2]);
  t.deepEqual(hostNumbers({existing, wanted: undefined, byDefault: 3}), [1, 2]);
});

const hosts = [1, 2, 3].map(number => ({
  ...hostIdentity(number),
  hostKey: `ssh-ed25519 KEY${number}`,
}));

test('the first host is the control plane, the others are workers', t => {
  t.deepEqual(hostsDocument(hosts), {
    all: {
      vars: {user: 'root', privateKeyFile: 'id_ed25519'},
      children: {
        kube_control_plane: {hosts: {h1: {}}},
        kube_node: {hosts: {h2: {}, h3: {}}},
      },
      hosts: {
        h1: {address: '10.89.0.11', hostKey: 'ssh-ed25519 KEY1'},
        h2: {address: '10.89.0.12', hostKey: 'ssh-ed25519 KEY2'},
        h3: {address: '10.89.0.13', hostKey: 'ssh-ed25519 KEY3'},
      },
    },
  });
});

test('a lab of one host is control plane and worker in one', t => {
  const document = JSON.stringify(hostsDocument(hosts.slice(0, 1)));
  t.true(
    document.includes('"kube_control_plane":{"hosts":{"h1":{}}},"kube_node":{"hosts":{"h1":{}}}'),
  );
});

test("each kubelet leaves two thirds of the machine's memory to the other hosts", t => {
  t.true(JSON.stringify(clusterDocument(24 * 1024 ** 3)).includes('"memory":"16Gi"'));
  t.true(JSON.stringify(clusterDocument(8 * 1024 ** 3)).includes('"memory":"5Gi"'));
});

test('packages are named once for all missing commands', t => {
  t.deepEqual(
    missingPackages(() => true),
    [],
  );
  t.deepEqual(
    missingPackages(command => !['ssh', 'ssh-keygen'].includes(command)),
    ['openssh-client'],
  );
});

test('ssh checks host keys against the lab only, and passes a command as one quoted line', t => {
  const argv = sshArguments(labFolders('/checkout'), {
    address: '10.89.0.11',
    command: ['echo', "it's", '$HOME', '--'],
  });
  t.true(argv.includes('StrictHostKeyChecking=yes'));
  t.true(argv.includes('UserKnownHostsFile=/checkout/.lab/known_hosts'));
  t.deepEqual(argv.slice(-3), ['root@10.89.0.11', '--', String.raw`echo 'it'\''s' '$HOME' --`]);
});

test('ssh without a command opens a shell', t => {
  const argv = sshArguments(labFolders('/checkout'), {address: '10.89.0.11', command: []});
  t.is(argv.at(-1), 'root@10.89.0.11');
});

test('ssh hands one word to the remote shell as it is, as OpenSSH does', t => {
  const command = ['cd /etc; ls *.conf'];
  const argv = sshArguments(labFolders('/checkout'), {address: '10.89.0.11', command});
  t.is(argv.at(-1), 'cd /etc; ls *.conf');
});

test('the cache follows XDG_CACHE_HOME, and an empty one counts as unset', t => {
  t.is(labCacheFolder({XDG_CACHE_HOME: '/cache'}), '/cache/slipway/lab');
  t.regex(labCacheFolder({XDG_CACHE_HOME: ''}), /\/\.cache\/slipway\/lab$/);
});

test('a message ends with the last lines of a program, or says that there are none', t => {
  t.is(quoteOutput('1\n2\n3\n4\n5\n6\n\n'), '2\n3\n4\n5\n6');
  t.is(quoteOutput('\n'), '(it printed nothing)');
});

test('every machine-wide setting that a kubelet writes is covered', async t => {
  const stage = await readFile(join(import.meta.dirname, '../../src/lab/host/stage.sh'), 'utf8');
  for (const name of ['kernel/panic', 'kernel/panic_on_oops', 'vm', 'kernel/keys', 'fs/inotify']) {
    t.regex(stage, new RegExp(`[\\s']${name}[\\s']`), name);
  }
});

test('every exit code of the lab is one of usage, connection, preflight, artifacts or lock', t => {
  t.deepEqual(
    [...new Set(Object.values(labErrors))].sort((a, b) => a - b),
    [2, 12, 13, 14, 21],
  );
});
