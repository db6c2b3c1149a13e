import {existsSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {messageOf} from '#shared/errors';
import {apparmorProfile} from '#runtime/host/apparmor-profile';
import {runCommand} from '#runtime/process/run';
import {unpackDebianPackages} from '#test/debian-packages';
import {temporaryFolder} from '#test/temporary-folder';

const {signal} = new AbortController();

/** Compiles a profile for a kernel of ABI 3.0, without loading it. */
async function compile(root: string, profile: string) {
  const folder = join(root, 'etc/apparmor.d');
  const parser = ['usr/sbin', 'sbin'].map(where => join(root, where, 'apparmor_parser'));
  const {exitCode, stdout, stderr} = await runCommand({
    command: [
      parser.find(existsSync) ?? 'apparmor_parser',
      ...['-Q', '-K', '-S', '--base', folder, '--kernel-features', join(folder, 'abi/3.0')],
    ],
    input: profile,
    signal,
  });
  return {exitCode, bytes: stdout.length, stderr: Buffer.from(stderr).toString()};
}

test('Debian’s parser compiles the default profile, with and without an ABI', async t => {
  await using folder = await temporaryFolder();
  try {
    await unpackDebianPackages(['apparmor'], {root: folder.path, signal});
  } catch (error) {
    t.log(`skipped: the package apparmor cannot be had: ${messageOf(error)}`);
    t.pass();
    return;
  }
  for (const hasAbi of [true, false]) {
    const {exitCode, bytes, stderr} = await compile(folder.path, apparmorProfile({hasAbi}));
    t.is(exitCode, 0, stderr);
    t.true(bytes > 1_000, stderr);
  }
  t.not((await compile(folder.path, 'profile broken {')).exitCode, 0);
});
