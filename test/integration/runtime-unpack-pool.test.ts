import {mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {PENDING_FILE, TREE_DIRECTORY} from '#runtime/image/unpack-job';
import {UnpackPool} from '#runtime/image/unpack-pool';
import {isErrno} from '#shared/errors';
import {eventually} from '#test/eventually';
import {temporaryFolder} from '#test/temporary-folder';
import test from 'ava';

// A worker that is stopped is one with endless work: `SIGSTOP` reaches it before Node has started.

test('a removal that takes long does not hold up the layers of a pull', async t => {
  t.timeout(30_000); // a settling that waits for the removal never ends
  await using folder = await temporaryFolder();
  await using bench = aPool();
  const trash = join(folder.path, 'trash');
  mkdirSync(join(trash, 'tree'), {recursive: true});
  const removal = bench.pool.run({kind: 'remove', directory: trash});
  const worker = await stoppedWorker();
  t.true(contentOf(worker, 'cmdline').split('\0').includes('--max-old-space-size=512'));
  const settled = await bench.pool.run(aSettleJob(folder.path));
  t.is(settled.kind, 'done');
  t.deepEqual(readdirSync(trash), ['tree']);
  process.kill(worker, 'SIGCONT');
  await removal;
  t.deepEqual(readdirSync(trash), []);
});

function aPool(): {readonly pool: UnpackPool} & AsyncDisposable {
  const pool = new UnpackPool({layersMax: 1});
  return {
    pool,
    async [Symbol.asyncDispose]() {
      await pool.close();
    },
  };
}

/** An unpacked layer that has nothing to settle. */
function aSettleJob(folder: string) {
  const directory = join(folder, 'layer');
  mkdirSync(join(directory, TREE_DIRECTORY), {recursive: true});
  const pending = {impliedDirectories: [], whiteouts: [], hardLinks: []};
  writeFileSync(join(directory, PENDING_FILE), JSON.stringify(pending));
  return {kind: 'settle', directory, lowers: []} as const;
}

async function stoppedWorker(): Promise<number> {
  await eventually(() => workers().length > 0);
  const [pid] = workers();
  if (pid === undefined) throw new Error('the worker is gone');
  process.kill(pid, 'SIGSTOP');
  return pid;
}

/** Children of this process that unpack; those that have ended have no command line. */
function workers(): readonly number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => contentOf(pid, 'status').includes(`\nPPid:\t${process.pid}\n`))
    .filter(pid => contentOf(pid, 'cmdline').includes('unpack-worker'));
}

function contentOf(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ESRCH')) return '';
    throw error;
  }
}
