import {readFileSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {Journal, newRunId} from '#provisioner/journal/journal';
import {temporaryFolder} from '#test/temporary-folder';

const now = new Date('2026-11-22T03:45:00.123Z');
const options = (directory: string) => ({directory, cluster: 'lab', now, warn: () => undefined});

test('a run is named by its time, and no two alike', t => {
  t.regex(newRunId(now), /^20261122T034500Z-[0-9a-f]{6}$/);
  t.not(newRunId(now), newRunId(now));
});

test('every event is a line with its time, the plan a file, and only the user reads them', async t => {
  await using folder = await temporaryFolder();
  const journal = new Journal(options(folder.path));
  t.is(journal.directory, join(folder.path, '.provision/lab/runs', journal.run));
  journal.append({type: 'message', text: 'one\ntwo'}, now);
  journal.append({type: 'task-started', phase: 'os', host: 'h1'}, now);
  await journal.writePlan([{host: 'h1', changes: []}]);
  const lines = readFileSync(join(journal.directory, 'events.ndjson'), 'utf8').split('\n');
  t.is(lines.pop(), '');
  t.deepEqual(
    lines.map(line => JSON.parse(line) as unknown),
    [
      {at: now.toISOString(), type: 'message', text: 'one\ntwo'},
      {at: now.toISOString(), type: 'task-started', phase: 'os', host: 'h1'},
    ],
  );
  const plan = readFileSync(join(journal.directory, 'plan.json'), 'utf8');
  t.deepEqual(JSON.parse(plan), [{host: 'h1', changes: []}]);
  t.is(statSync(journal.directory).mode & 0o777, 0o700);
  for (const name of ['events.ndjson', 'plan.json']) {
    t.is(statSync(join(journal.directory, name)).mode & 0o777, 0o600, name);
  }
});

test('a folder that cannot be made is refused before the run', async t => {
  await using folder = await temporaryFolder();
  writeFileSync(join(folder.path, '.provision'), 'a file');
  t.throws(() => new Journal(options(folder.path)), {code: 'ERR_JOURNAL_UNWRITABLE'});
});

test('a journal that is lost during the run is told once, and stops nothing', async t => {
  await using folder = await temporaryFolder();
  const warnings: string[] = [];
  const warn = (text: string) => void warnings.push(text);
  const journal = new Journal({...options(folder.path), warn});
  rmSync(join(folder.path, '.provision'), {recursive: true});
  journal.append({type: 'message', text: 'one'}, now);
  journal.append({type: 'message', text: 'two'}, now);
  t.is(warnings.length, 1);
});
