// Two things keep labs apart, since their names and addresses exist once per machine:
// the owner, a file that says which checkout's lab this is for as long as it exists, and the
// operation, held by one `up` or `down` while it works.
import {existsSync} from 'node:fs';
import {mkdir, readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {CodedError} from '#shared/errors';
import {writeFileAtomic} from '#shared/files';
import {takeMachineLock} from '#shared/machine-lock';
import {groupProcesses} from './cgroups.ts';
import type {LabErrorCode} from './errors.ts';

/** Gone after a reboot, as the lab is. */
export const LAB_RUN_FOLDER = '/run/slipway-lab';
const OWNER_FILE = join(LAB_RUN_FOLDER, 'owner.json');
const OWNER_BYTES_MAX = 4096; // one path

const OPERATION_NAME = 'slipway-lab';

export type OwnerDecision =
  | {readonly kind: 'ours'}
  | {readonly kind: 'free'}
  /** Nothing of that lab lives any more, or its checkout is gone: what is left may be removed. */
  | {readonly kind: 'abandoned'; readonly owner: string}
  | {readonly kind: 'other'; readonly owner: string};

/** Whether the checkout may work on the machine's lab. */
export function decideOwner(state: {
  readonly owner: string | undefined;
  readonly checkout: string;
  readonly hasProcesses: boolean;
  readonly ownerExists: boolean;
}): OwnerDecision {
  const {owner, checkout, hasProcesses, ownerExists} = state;
  if (owner === undefined) return {kind: 'free'};
  if (owner === checkout) return {kind: 'ours'};
  return {kind: hasProcesses && ownerExists ? 'other' : 'abandoned', owner};
}

/** The checkout whose lab this machine has; undefined for none. */
export async function readOwner(): Promise<string | undefined> {
  const text = await readFile(OWNER_FILE, 'utf8').catch(() => ''); // no lab
  if (text === '' || text.length > OWNER_BYTES_MAX) return undefined;
  const value: unknown = JSON.parse(text);
  const checkout =
    typeof value === 'object' && value !== null && 'checkout' in value ? value.checkout : undefined;
  return typeof checkout === 'string' ? checkout : undefined;
}

/**
 * Looks at who owns the machine's lab.
 *
 * @throws CodedError `ERR_LAB_OTHER_CHECKOUT` when it is a living lab of another checkout
 */
export async function checkOwner(
  checkout: string,
): Promise<Exclude<OwnerDecision, {kind: 'other'}>> {
  const owner = await readOwner();
  const decision = decideOwner({
    owner,
    checkout,
    hasProcesses: (await groupProcesses('')).size > 0,
    ownerExists: owner !== undefined && existsSync(owner),
  });
  if (decision.kind !== 'other') return decision;
  throw new CodedError<LabErrorCode>(
    'ERR_LAB_OTHER_CHECKOUT',
    `this machine already has a lab, of the checkout ${decision.owner}; ours is ${checkout}`,
    {hint: `run "provision lab down" in ${decision.owner}, then try again`},
  );
}

/** True while the machine's lab is this checkout's and has any process. */
export async function isOwnLabAlive(checkout: string): Promise<boolean> {
  return (await readOwner()) === checkout && (await groupProcesses('')).size > 0;
}

/**
 * Refuses to go on unless this checkout's lab is up.
 *
 * @throws CodedError `ERR_LAB_NOT_UP`, `ERR_LAB_OTHER_CHECKOUT`
 */
export async function requireOwnLab(checkout: string): Promise<void> {
  const decision = await checkOwner(checkout);
  if (decision.kind === 'ours') return;
  throw new CodedError<LabErrorCode>('ERR_LAB_NOT_UP', `no lab of ${checkout} is up`, {
    hint: 'run "provision lab up" first',
  });
}

export async function writeOwner(checkout: string): Promise<void> {
  await mkdir(LAB_RUN_FOLDER, {recursive: true});
  await writeFileAtomic(OWNER_FILE, `${JSON.stringify({checkout})}\n`);
}

/** The last step of `down`: from here on the machine has no lab. */
export async function removeRunFolder(): Promise<void> {
  await rm(LAB_RUN_FOLDER, {recursive: true, force: true});
}

/**
 * Runs `work` while no other process changes the machine's lab.
 *
 * @throws CodedError `ERR_LAB_BUSY`
 */
export async function withOperation<T>(
  work: () => Promise<T>,
  name: string = OPERATION_NAME,
): Promise<T> {
  await using held = await takeMachineLock(name);
  if (held !== undefined) return await work();
  throw new CodedError<LabErrorCode>(
    'ERR_LAB_BUSY',
    'another "provision lab up" or "down" is at work on this machine',
    {hint: 'wait until it ends, then try again'},
  );
}
