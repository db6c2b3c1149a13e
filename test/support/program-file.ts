import {execFileSync} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {basename, dirname, join} from 'node:path';

/**
 * Puts programs into a folder, so that they can be started at once. A child that another test
 * starts at the same time inherits, until its exec, each file that this process is writing; who
 * runs such a file meanwhile gets ETXTBSY. So `cp` writes them, which nobody else inherits from.
 *
 * @param scripts by file name
 */
export function writePrograms(directory: string, scripts: Readonly<Record<string, string>>): void {
  const staging = mkdtempSync(join(tmpdir(), 'slipway-programs-'));
  try {
    const staged = Object.entries(scripts).map(([name, script]) => {
      const path = join(staging, name);
      writeFileSync(path, script, {mode: 0o755});
      return path;
    });
    execFileSync('/bin/cp', ['--remove-destination', '--preserve=mode', ...staged, directory]);
  } finally {
    rmSync(staging, {recursive: true});
  }
}

export function writeProgram(path: string, script: string): void {
  writePrograms(dirname(path), {[basename(path)]: script});
}
