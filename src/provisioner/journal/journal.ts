import {randomBytes} from 'node:crypto';
import {appendFileSync, mkdirSync} from 'node:fs';
import {join} from 'node:path';
import {CodedError, messageOf} from '#shared/errors';
import {writeFileAtomic} from '#shared/files';
import type {RunEvent, TimedEvent} from '../engine/events.ts';
import type {ProvisionerErrorCode} from '../errors.ts';

export interface JournalOptions {
  /** Of cluster.yaml. */
  readonly directory: string;
  readonly cluster: string;
  readonly now: Date;
  /** Tells the user something, once. */
  readonly warn: (text: string) => void;
}

/**
 * What one run did, kept beside the cluster's file: `.provision/<cluster>/runs/<id>/`. It is
 * evidence, not state: deleting it loses nothing (DESIGN 9).
 */
export class Journal {
  readonly run: string;
  readonly directory: string;
  readonly #warn: (text: string) => void;
  #isLost = false;

  /** @throws CodedError ERR_JOURNAL_UNWRITABLE */
  constructor({directory, cluster, now, warn}: JournalOptions) {
    this.#warn = warn;
    this.run = newRunId(now);
    this.directory = join(directory, '.provision', cluster, 'runs', this.run);
    try {
      mkdirSync(this.directory, {recursive: true, mode: 0o700});
    } catch (cause) {
      throw new CodedError<ProvisionerErrorCode>(
        'ERR_JOURNAL_UNWRITABLE',
        `cannot make the folder of the run, ${this.directory}: ${messageOf(cause)}`,
        {hint: 'make the folder of cluster.yaml writable, or free space on its disk', cause},
      );
    }
  }

  /**
   * Synchronous on purpose: the line is on its way to disk before the deed it tells of goes on. The
   * journal is evidence: that it cannot be written is told once, and stops nothing.
   */
  append(event: RunEvent, at: Date): void {
    const timed: TimedEvent = {at: at.toISOString(), ...event};
    try {
      const path = join(this.directory, 'events.ndjson');
      appendFileSync(path, `${JSON.stringify(timed)}\n`, {mode: 0o600});
    } catch (error) {
      this.#lose(error);
    }
  }

  async writePlan(plan: unknown): Promise<void> {
    const text = `${JSON.stringify(plan, undefined, 1)}\n`;
    try {
      await writeFileAtomic(join(this.directory, 'plan.json'), text, {mode: 0o600});
    } catch (error) {
      this.#lose(error);
    }
  }

  #lose(error: unknown): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#warn(`the journal cannot be written, the run goes on: ${messageOf(error)}`);
  }
}

/** Names a run, e.g. `20261122T034500Z-a1b2c3`; sorts by time. */
export function newRunId(now: Date): string {
  const stamp = now.toISOString().replaceAll(/[-:]|\.\d+/g, '');
  return `${stamp}-${randomBytes(3).toString('hex')}`;
}
