import {createHash} from 'node:crypto';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {appendFile, readdir, readFile, truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {BUNDLE_FILES, buildRuntimeBundle} from '#runtime/build';
import {runCommand, type CommandRun} from '#test/cri-command';
import {folderOf} from '#test/cri-service';
import {aPod, shell} from '#test/runtime/a-pod';
import {BUSYBOX_IMAGE} from '#test/runtime/busybox-archive';
import {daemonSuite, eventually, leftOvers} from '#test/runtime/daemon-suite';

// The commands of slipway-cri against the daemon as it is shipped.
const {daemon, archive} = daemonSuite(test);

const command = (...words: readonly string[]): Promise<CommandRun> =>
  runCommand([...words, '--socket', daemon().socket]);

test('a pod can be looked at, used, stopped and removed', async t => {
  const pod = await aPod(daemon());
  const id = await pod.run(shell('trap "exit 3" TERM; echo out; echo err >&2; sleep 1000 & wait'));
  const short = id.slice(0, 10);
  t.regex((await command('ps')).stdout, new RegExp(`\\n${id.slice(0, 13)} .*running`));
  t.regex((await command('pods')).stdout, new RegExp(`\\n${pod.id.slice(0, 13)} .*ready`));
  t.regex((await command('stats')).stdout, new RegExp(`\\n${id.slice(0, 13)} `));
  t.like(JSON.parse((await command('inspect', short)).stdout), {status: {id}});
  t.like(JSON.parse((await command('inspect', BUSYBOX_IMAGE)).stdout), {
    image: {repoTags: [BUSYBOX_IMAGE]},
  });
  t.deepEqual(await command('exec', short, 'sh', '-c', 'echo hi; echo no >&2; exit 9'), {
    exitCode: 9,
    stdout: 'hi\n',
    stderr: 'no\n',
  });
  await eventually(async () => (await command('logs', short)).stdout === 'out\n');
  t.is((await command('logs', short)).stderr, 'err\n');
  t.is((await command('stop', short)).stdout, `${id}\n`);
  t.like(JSON.parse((await command('inspect', short)).stdout), {status: {exitCode: 3}});
  t.regex((await command('ps')).stdout, /^CONTAINER.*\n$/, 'it runs no more');
  t.is((await command('rm', short, pod.id)).exitCode, 0);
  t.is((await command('inspect', short)).exitCode, 15);
});

test('smoke proves the daemon over a kill -9', async t => {
  t.deepEqual(await command('smoke', 'start', '--image', BUSYBOX_IMAGE), {
    exitCode: 0,
    stdout: 'smoke: a pod runs\n',
    stderr: '',
  });
  await daemon().stop('SIGKILL');
  await daemon().start();
  t.deepEqual(await command('smoke', 'finish'), {
    exitCode: 0,
    stdout: 'smoke: passed\n',
    stderr: '',
  });
  t.is((await command('smoke', 'finish')).exitCode, 30, 'there is nothing left to finish');
});

test('smoke with an image that is nowhere fails, and says why', async t => {
  const {exitCode, stderr} = await command('smoke', '--image', '127.0.0.1:1/none:1');
  t.is(exitCode, 15);
  t.regex(stderr, /next: /);
});

test('reset leaves no pod', async t => {
  for (const pod of await Promise.all([aPod(daemon()), aPod(daemon()), aPod(daemon())])) {
    await pod.run();
  }
  const {exitCode, stdout} = await command('reset');
  t.is(exitCode, 0);
  t.is(stdout.trim().split('\n').length, 3);
  t.deepEqual(await leftOvers(daemon()), []);
});

test('an image is imported from a file under another name, and removed', async t => {
  const imported = await command('image', 'import', archive(), '--name', 'example.com/other:2');
  t.regex(imported.stdout, /example\.com\/other:2 .*sha256:/);
  t.true((await command('images')).stdout.includes('\nexample.com/other:2 '));
  t.is((await command('image', 'remove', 'example.com/other:2')).exitCode, 0);
  t.false((await command('images')).stdout.includes('example.com/other:2'));
  t.true((await command('images')).stdout.includes(BUSYBOX_IMAGE), 'the other name stays');
});

test('an archive that breaks off is refused, and leaves no image', async t => {
  const before = (await command('images', '-o', 'json')).stdout;
  const broken = join(await folderOf(t), 'broken.tar');
  const bytes = await readFile(archive());
  await writeFile(broken, bytes);
  await truncate(broken, Math.floor(bytes.length / 2));
  const {exitCode, stderr} = await command('image', 'import', broken, '--name', 'example.com/b:1');
  t.is(exitCode, 15, stderr);
  t.is((await command('images', '-o', 'json')).stdout, before);
});

test('SIGHUP takes over the level of the log and pins images', async t => {
  const config = join(daemon().folder, 'cri.toml');
  const text = await readFile(config, 'utf8');
  await writeFile(config, `pinnedImages = ["${BUSYBOX_IMAGE}"]\n${text}`);
  process.kill(daemon().pid(), 'SIGHUP');
  await eventually(() => daemon().log().includes('configuration read anew'));
  t.regex((await command('images')).stdout, /pinned/);
  await writeFile(config, text);
  await appendFile(config, 'nonsense = 1\n');
  process.kill(daemon().pid(), 'SIGHUP');
  await eventually(() => daemon().log().includes('configuration not taken over'));
  await writeFile(config, text);
  t.is((await command('info')).exitCode, 0);
});

test('a second daemon for the same socket is refused, and disturbs nothing', async t => {
  const pod = await aPod(daemon());
  const id = await pod.run();
  const program = new URL('../../bin/slipway-cri', import.meta.url).pathname;
  const second = spawn(program, ['--config', join(daemon().folder, 'cri.toml')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  second.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [exitCode] = (await once(second, 'close')) as [number];
  t.is(exitCode, 21);
  t.regex(said, /^ERR_SOCKET_IN_USE/);
  t.is((await command('exec', id, 'true')).exitCode, 0);
});

test('the same sources make the same bundle, and its files need nothing else', async t => {
  const digestsOf = async (folder: string): Promise<readonly string[]> => {
    await buildRuntimeBundle(folder, {arch: process.arch});
    t.deepEqual((await readdir(folder)).sort(), [...BUNDLE_FILES].sort());
    const texts = await Promise.all(BUNDLE_FILES.map(name => readFile(join(folder, name))));
    return texts.map(bytes => createHash('sha256').update(bytes).digest('hex'));
  };
  const folder = await folderOf(t);
  t.deepEqual(await digestsOf(folder), await digestsOf(await folderOf(t)));
  const run = spawn(process.execPath, [join(folder, 'slipway-cri.mjs'), '--version'], {cwd: '/'});
  let said = '';
  run.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [exitCode] = (await once(run, 'close')) as [number];
  t.is(exitCode, 0);
  t.regex(said, /^slipway-cri \d/);
});
