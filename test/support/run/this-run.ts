import {randomBytes} from 'node:crypto';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

/** Is in the environment of every process that a test run starts. */
const MARK = 'SLIPWAY_TEST_RUN';

/** Marks what this process starts from now on; returns the mark as it stands in an environment. */
export function markRun(): string {
  process.env[MARK] = randomBytes(8).toString('hex');
  return `${MARK}=${process.env[MARK]}`;
}

/** What the folders of this run's labs begin with: whose a lab is can be told from where it lies. */
export function labFolderPrefix(): string {
  return join(tmpdir(), `slipway-lab-${process.env[MARK] ?? 'alone'}-`);
}
