import {chmod, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {answersX32} from '#runtime/host/x32';
import {temporaryFolder} from '#test/temporary-folder';
import test from 'ava';

const {signal} = new AbortController();

test('x32 is absent only where the kernel said so', async t => {
  await using folder = await temporaryFolder();
  const program = join(folder.path, 'slipway-exec');
  const answerOf = async (script: string): Promise<boolean> => {
    await writeFile(program, `#!/bin/sh\n[ "$*" = x32 ] || exit 1\n${script}\n`);
    await chmod(program, 0o755);
    return await answersX32(program, signal);
  };
  t.true(await answersX32(join(folder.path, 'no-such-program'), signal));
  t.true(await answerOf('exit 0'));
  t.false(await answerOf('exit 1'));
  t.true(await answerOf('exit 2'), 'an older program');
  t.true(await answerOf('kill -SYS $$'), 'a filter ends it');
  await t.throwsAsync(answersX32(program, AbortSignal.abort(new Error('enough'))), {
    message: 'enough',
  });
});
