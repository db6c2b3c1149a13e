import {closeSync, constants, readSync} from 'node:fs';
import {mkdir, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {spawnProcess} from '#runtime/process/spawn';
import {makeDevice, openBeneath} from '#runtime/sys/files';
import {close, cString} from '#runtime/sys/libc';
import {mount, unmount} from '#runtime/sys/mount';
import {
  hardLimits,
  isAlive,
  killProcess,
  ownCapabilities,
  processStartTime,
  waitpid,
} from '#runtime/sys/processes';
import {connectSeqpacket, notifySystemd} from '#runtime/sys/socket';
import {openTerminal, setTerminalSize} from '#runtime/sys/terminal';
import {temporaryFolder} from '#test/temporary-folder';
import {listenDatagrams, listenSeqpacket} from '#test/unix-server';
import test from 'ava';

test('cString() takes names that are not UTF-8 and refuses what C would cut', t => {
  t.deepEqual([...cString(Uint8Array.of(0xff, 0x41))], [0xff, 0x41, 0]);
  t.throws(() => cString('a\0b'), {instanceOf: TypeError});
});

test('a failed call says which, on what and why, as node:fs does', t => {
  t.like(
    t.throws(() => {
      unmount('/no/such/mount');
    }),
    {
      code: 'ENOENT',
      errno: -2,
      syscall: 'umount2',
      path: '/no/such/mount',
    },
  );
});

test('mount() refuses options that the kernel would cut', t => {
  const data = `lowerdir=${'x'.repeat(4_096)}`;
  t.throws(
    () => {
      mount({source: 'overlay', target: '/no', data});
    },
    {code: 'E2BIG'},
  );
});

test('openBeneath() cannot be led out of its root', async t => {
  await using folder = await temporaryFolder();
  const root = join(folder.path, 'root');
  await mkdir(join(root, 'etc'), {recursive: true});
  await writeFile(join(folder.path, 'passwd'), 'outside');
  await writeFile(join(root, 'passwd'), 'inside');
  await symlink('/passwd', join(root, 'etc/absolute'));
  await symlink('../../../../passwd', join(root, 'etc/relative'));
  await symlink('/proc/self/root/etc/passwd', join(root, 'etc/magic'));
  const read = (path: string): string => {
    const fd = openBeneath(root, path, {flags: constants.O_RDONLY});
    const bytes = Buffer.alloc(100);
    const length = readSync(fd, bytes);
    close(fd);
    return bytes.toString('utf8', 0, length);
  };
  for (const path of ['passwd', '/passwd', '../passwd', 'etc/absolute', 'etc/relative']) {
    t.is(read(path), 'inside', path);
  }
  t.throws(() => read('etc/magic'), {code: 'ENOENT'});
  t.throws(() => read('etc/missing'), {code: 'ENOENT'});
  const proc = {flags: constants.O_RDONLY};
  t.throws(() => openBeneath('/proc', 'self/root/etc/passwd', proc), {code: 'ELOOP'});
});

test('makeDevice() encodes numbers as the kernel does', t => {
  t.is(makeDevice(1, 3), 0x103n);
  t.is(makeDevice(0xabcde, 0x12345678), 0x000a_b123_456c_de78n);
});

test('a process is alive as long as its start time is the same and it is no zombie', async t => {
  const child = spawnProcess({command: ['sleep', '1000']});
  const startTime = processStartTime(child.pid) ?? '';
  t.regex(startTime, /^\d+$/);
  t.true(isAlive({pid: child.pid, startTime}));
  t.false(isAlive({pid: child.pid, startTime: '1'}));
  t.false(killProcess({pid: child.pid, startTime: '1'}, 'SIGKILL'));
  t.true(killProcess({pid: child.pid, startTime}, 'SIGKILL'));
  t.is((await child.exited).signal, 'SIGKILL');
  t.false(isAlive({pid: child.pid, startTime}));
  t.false(killProcess(child.pid, 'SIGKILL'));
  t.is(processStartTime(child.pid), undefined);
});

test('waitpid() refuses a process that is no child of ours', t => {
  t.throws(() => waitpid(1), {code: 'ECHILD'});
});

test('hardLimits() and ownCapabilities() are read from the process itself', t => {
  t.is(Object.keys(hardLimits()).length, 16);
  t.regex(String(hardLimits()['RLIMIT_NOFILE']), /^(\d+|unlimited)$/);
  const {effective, bounding} = ownCapabilities();
  t.true(effective >= 0n && bounding >= 0n);
});

test('a terminal passes what programs write and tells them its size', async t => {
  const {primary, replica} = openTerminal();
  setTerminalSize(primary, {rows: 31, columns: 99});
  const {exited} = spawnProcess({
    command: ['sh', '-c', 'stty size'],
    newSession: true,
    fileDescriptors: {0: replica, 1: replica, 2: replica},
  });
  t.is((await exited).exitCode, 0);
  const bytes = Buffer.alloc(100);
  t.is(bytes.toString('utf8', 0, readSync(primary, bytes)), '31 99\r\n');
  closeSync(primary);
  close(replica);
});

test('a seqpacket connection keeps packets apart, both ways', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'attach');
  using server = listenSeqpacket(path);
  const connection = connectSeqpacket(path);
  const peer = server.accept();
  const packets = connection.read()[Symbol.asyncIterator]();
  const next = async (): Promise<string | undefined> => {
    const result = await packets.next();
    return result.done === true ? undefined : Buffer.from(result.value).toString();
  };
  const first = next();
  peer.send('one');
  peer.send('two');
  t.is(await first, 'one');
  t.is(await next(), 'two');
  await Promise.all([connection.write(Buffer.from('a')), connection.write(Buffer.from('b'))]);
  connection.shutdownWrite();
  t.deepEqual([await peer.receive(), await peer.receive(), await peer.receive()], ['a', 'b', '']);
  const last = next();
  peer.send('three');
  t.is(await last, 'three');
  const end = next();
  peer[Symbol.dispose]();
  t.is(await end, undefined);
  connection.close();
});

test('a seqpacket writer waits while the other side is full', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'attach');
  using server = listenSeqpacket(path);
  const connection = connectSeqpacket(path);
  using peer = server.accept();
  const count = 200;
  let written = 0;
  const packet = Buffer.alloc(16_384, 'x');
  const writes = Array.from({length: count}, async () => {
    await connection.write(packet);
    written++;
  });
  await writes[0];
  t.true(written < count);
  for (let index = 0; index < count; index++) {
    t.is((await peer.receive()).length, packet.length);
  }
  await Promise.all(writes);
  connection.close();
});

test('close() ends reading and fails writing', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'attach');
  using server = listenSeqpacket(path);
  const connection = connectSeqpacket(path);
  using peer = server.accept();
  const end = connection.read()[Symbol.asyncIterator]().next();
  connection.close();
  connection.close();
  t.true((await end).done);
  t.is(await peer.receive(), '');
  await t.throwsAsync(connection.write(Buffer.from('late')), {code: 'EPIPE'});
});

test('a peer that goes without reading ends the connection', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'attach');
  using server = listenSeqpacket(path);
  const connection = connectSeqpacket(path);
  const peer = server.accept();
  await connection.write(Buffer.from('never read'));
  peer[Symbol.dispose]();
  t.true((await connection.read()[Symbol.asyncIterator]().next()).done);
  await t.throwsAsync(connection.write(Buffer.from('late')), {code: 'EPIPE'});
  connection.close();
});

test('connectSeqpacket() says why it cannot connect', async t => {
  await using folder = await temporaryFolder();
  t.throws(() => connectSeqpacket(join(folder.path, 'none')), {code: 'ENOENT'});
  t.throws(() => connectSeqpacket(`/${'x'.repeat(200)}`), {code: 'ENAMETOOLONG'});
});

test('notifySystemd() sends one datagram, by path or abstract name, or nothing', async t => {
  await using folder = await temporaryFolder();
  for (const path of [join(folder.path, 'notify'), `@slipway-test-${process.pid}`]) {
    using server = listenDatagrams(path);
    notifySystemd('READY=1\nSTATUS=on', path);
    t.is(await server.receive(), 'READY=1\nSTATUS=on');
  }
  notifySystemd('READY=1', join(folder.path, 'gone'));
  notifySystemd('READY=1', '');
});
