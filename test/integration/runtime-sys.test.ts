import {createServer} from 'node:net';
import {once} from 'node:events';
import {readdirSync, readFileSync, readlinkSync} from 'node:fs';
import {mkdir, readdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {runCommand} from '#runtime/process/run';
import {mount, MountFlags, unmount} from '#runtime/sys/mount';
import {
  isPinned,
  pinNamespaces,
  type PinnedNamespace,
  unpinNamespaces,
  withNetworkNamespace,
} from '#runtime/sys/namespace';
import {connectTcpInNamespace} from '#runtime/sys/socket';
import {temporaryFolder} from '#test/temporary-folder';
import test from 'ava';

// What needs root: namespaces and mounts.

const {signal} = new AbortController();
const ALL: readonly PinnedNamespace[] = ['net', 'ipc', 'uts'];

test('pinned namespaces are new, set up, and this thread is out of them again', async t => {
  await using folder = await namespaceFolder();
  const {directory} = folder;
  const before = ALL.map(own);
  const sysctls = {
    'net.ipv4.ip_unprivileged_port_start': '0',
    'net/ipv4/ping_group_range': '0 7',
    'kernel.shmmax': '12345',
  };
  pinNamespaces({directory, kinds: ALL, hostname: 'pod-1', sysctls});
  t.deepEqual(ALL.map(own), before);
  t.true(ALL.every(kind => isPinned(join(directory, kind))));
  const script =
    'hostname; cd /proc/sys; cat net/ipv4/ip_unprivileged_port_start kernel/shmmax; ' +
    'cat net/ipv4/ping_group_range; readlink /proc/self/ns/net; cat /proc/net/if_inet6';
  const lines = (await inside(directory, script)).split('\n');
  t.deepEqual(lines.slice(0, 4), ['pod-1', '0', '12345', '0\t7']);
  t.false(before.includes(lines[4] ?? ''));
  t.regex(lines[5] ?? '', /^0{31}1 .* lo$/);

  unpinNamespaces(directory);
  unpinNamespaces(directory);
  t.deepEqual(await readdir(folder.path), []);
});

test('what cannot be set leaves nothing behind', async t => {
  await using folder = await namespaceFolder();
  const {directory} = folder;
  const before = ALL.map(own);
  const pin = (sysctls: Readonly<Record<string, string>>): void => {
    pinNamespaces({directory, kinds: ALL, sysctls});
  };
  t.throws(
    () => {
      pin({'net.no.such.thing': '1'});
    },
    {code: 'ENOENT'},
  );
  t.throws(
    () => {
      pin({'net.ipv4.ip_forward': 'many'});
    },
    {code: 'EINVAL'},
  );
  t.throws(
    () => {
      pin({'net.ipv4../.sneaky': '1'});
    },
    {instanceOf: TypeError},
  );
  t.throws(
    () => {
      pin({'../../etc/passwd': '1'});
    },
    {instanceOf: TypeError},
  );
  t.deepEqual(ALL.map(own), before);
  t.deepEqual(await readdir(folder.path), []);
  t.false(readFileSync('/proc/self/mountinfo', 'utf8').includes(folder.path));
});

test('namespaces that are pinned already are refused and stay', async t => {
  await using folder = await namespaceFolder();
  const {directory} = folder;
  pinNamespaces({directory, kinds: ['net']});
  t.throws(
    () => {
      pinNamespaces({directory, kinds: ['net', 'uts']});
    },
    {code: 'EEXIST'},
  );
  t.true(isPinned(join(directory, 'net')));
  unpinNamespaces(directory);
});

test('unpinNamespaces() removes what a reboot has left, and nothing of others', async t => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'net'), '');
  await writeFile(join(folder.path, 'theirs'), '');
  t.false(isPinned(join(folder.path, 'net')));
  unpinNamespaces(folder.path);
  t.deepEqual(await readdir(folder.path), ['theirs']);
});

test('hundreds of namespaces leave no descriptors open', async t => {
  await using folder = await temporaryFolder();
  const directories = Array.from({length: 200}, (_, index) => join(folder.path, `ns-${index}`));
  const before = readdirSync('/proc/self/fd').length;
  for (const directory of directories) pinNamespaces({directory, kinds: ALL});
  t.is(readdirSync('/proc/self/fd').length, before);
  for (const directory of directories) unpinNamespaces(directory);
  t.deepEqual(await readdir(folder.path), []);
});

test('withNetworkNamespace() comes back, whatever happens inside', async t => {
  await using folder = await namespaceFolder();
  const {directory} = folder;
  pinNamespaces({directory, kinds: ['net']});
  const path = join(directory, 'net');
  const before = own('net');
  t.not(withNetworkNamespace(path, () => own('net')), before); // prettier-ignore
  t.throws(() => withNetworkNamespace(path, () => own('no-such')), {code: 'ENOENT'});
  t.throws(() => withNetworkNamespace(join(directory, 'gone'), () => 1), {code: 'ENOENT'});
  t.throws(() => withNetworkNamespace('/proc/thread-self/ns/uts', () => 1), {code: 'EINVAL'});
  t.is(own('net'), before);
  unpinNamespaces(directory);
});

test('connectTcpInNamespace() reaches what listens in a pod on either loopback', async t => {
  await using folder = await namespaceFolder();
  const {directory} = folder;
  pinNamespaces({directory, kinds: ['net']});
  const path = join(directory, 'net');
  const server = createServer(socket => socket.end('hello'));
  withNetworkNamespace(path, () => server.listen({port: 8080, ipv6Only: true}));
  await once(server, 'listening');
  const socket = await connectTcpInNamespace(path, 8080, signal);
  t.is(Buffer.concat(await socket.toArray()).toString(), 'hello');
  socket.destroy();
  server.close();
  await t.throwsAsync(connectTcpInNamespace(path, 8081, signal), {code: 'ECONNREFUSED'});
  await t.throwsAsync(connectTcpInNamespace(path, 1, AbortSignal.abort(new RangeError('enough'))), {
    instanceOf: RangeError,
  });
  unpinNamespaces(directory);
});

test('mounts are made with their flags, and unmounted', async t => {
  await using folder = await temporaryFolder();
  const [source, target] = [join(folder.path, 'source'), join(folder.path, 'target')];
  await mkdir(source);
  await mkdir(target);
  mount({source: 'tmpfs', target: source, type: 'tmpfs', data: 'size=64k,mode=700'});
  mount({source, target, flags: MountFlags.BIND | MountFlags.REC});
  const readOnly = MountFlags.BIND | MountFlags.REMOUNT | MountFlags.RDONLY;
  mount({source: 'none', target, flags: readOnly | MountFlags.NOSUID | MountFlags.NODEV});
  await t.throwsAsync(writeFile(join(target, 'file'), ''), {code: 'EROFS'});
  await writeFile(join(source, 'file'), 'x');
  t.deepEqual(await readdir(target), ['file']);
  t.regex(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(`${target} ro,nosuid,nodev`));
  unmount(target);
  unmount(source, {detach: true});
  t.throws(
    () => {
      unmount(target);
    },
    {code: 'EINVAL'},
  );
  t.deepEqual(await readdir(target), []);
});

/** A folder in which namespaces may be left pinned by a test that fails. */
async function namespaceFolder() {
  const folder = await temporaryFolder();
  const directory = join(folder.path, 'ns');
  return {
    path: folder.path,
    directory,
    async [Symbol.asyncDispose]() {
      unpinNamespaces(directory);
      await folder[Symbol.asyncDispose]();
    },
  };
}

const own = (kind: string): string => readlinkSync(`/proc/thread-self/ns/${kind}`);

async function inside(directory: string, script: string): Promise<string> {
  const enter = ALL.map(kind => `--${kind}=${join(directory, kind)}`);
  const {stdout} = await runCommand({command: ['nsenter', ...enter, 'sh', '-c', script], signal});
  return Buffer.from(stdout).toString();
}
