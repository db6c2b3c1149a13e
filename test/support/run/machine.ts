import {hasCommand} from '#shared/local-process';
import {isCoded} from '#shared/errors';
import {readOwner, withOperation} from '#lab/lock';
import {takeMachineLock} from '#shared/machine-lock';
import {isLabAlive} from './left-lab.ts';

/**
 * Keeps the machine for one test run: two would take each other's networks, control groups and lab.
 * One that could not use the machine anyway takes nothing.
 */
export async function takeMachine(): Promise<{readonly isTaken: boolean} & AsyncDisposable> {
  const isUsable = process.platform === 'linux' && process.getuid?.() === 0;
  const lock = isUsable ? await takeMachineLock('slipway-tests') : undefined;
  return {
    isTaken: isUsable && lock === undefined,
    [Symbol.asyncDispose]: async () => await lock?.[Symbol.asyncDispose](),
  };
}

/** Why levels that work on the machine cannot run on this one; undefined when they can. */
export async function missingReason(signal: AbortSignal): Promise<string | undefined> {
  signal.throwIfAborted();
  if (process.platform !== 'linux') return 'they need Linux';
  if (process.getuid?.() !== 0) return 'they need root';
  if (!hasCommand('apt-get')) return 'they need a Debian or Ubuntu with apt-get';
  const owner = await readOwner();
  if (owner !== undefined && (await isLabAlive(owner))) {
    return `the lab of ${owner} is up, and they need its place: "provision lab down" there`;
  }
  return await withOperation(() => Promise.resolve(undefined)).catch((error: unknown) => {
    if (isCoded(error)) return error.message; // a lab is being made or removed
    throw error;
  });
}
