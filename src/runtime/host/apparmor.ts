import {accessSync, constants} from 'node:fs';
import {messageOf} from '#shared/errors';
import type {Log} from '#shared/log';
import {runCommand} from '../process/run.ts';
import {apparmorProfile, APPARMOR_DEFAULT_PROFILE} from './apparmor-profile.ts';
import {readText} from './read-text.ts';

const ENABLED_FILE = '/sys/module/apparmor/parameters/enabled';
/** A line for each, such as `slipway-default (enforce)`; root reads it. */
const PROFILES_FILE = '/sys/kernel/security/apparmor/profiles';
/** Where Debian 12, what merges /usr, and Arch have it; a service's PATH may lack all of them. */
const PARSERS = ['/usr/sbin/apparmor_parser', '/sbin/apparmor_parser', '/usr/bin/apparmor_parser'];
const ABI_FILE = '/etc/apparmor.d/abi/3.0';
/** Compiling takes less than a second; a start of the daemon waits for it. */
const LOAD_MS_MAX = 30_000;
const MESSAGE_CHARACTERS_MAX = 500;

/** What the machine says and does; of it a test has its own. */
export interface ApparmorMachine {
  /** @returns undefined for a file that cannot be read */
  readonly readText: (path: string) => string | undefined;
  readonly isProgram: (path: string) => boolean;
  readonly run: typeof runCommand;
}

export interface LoadProfileOptions {
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly machine?: ApparmorMachine;
}

/** True where the kernel has AppArmor and uses it. */
export function isApparmorEnabled(read: ApparmorMachine['readText'] = readText): boolean {
  return read(ENABLED_FILE)?.trim() === 'Y';
}

/**
 * Sees to it that the kernel has a profile for RuntimeDefault, as CRI-O and containerd do: one of
 * that name which is loaded already stays, be it an operator's own.
 *
 * @returns its name; undefined on a machine without AppArmor, and, with a warning, where the
 *   profile cannot be loaded: containers run without one then
 */
export async function loadDefaultApparmorProfile(
  options: LoadProfileOptions,
): Promise<string | undefined> {
  const {log, signal, machine = thisMachine} = options;
  if (!isApparmorEnabled(machine.readText)) return undefined;
  if (isLoaded(APPARMOR_DEFAULT_PROFILE, machine)) return APPARMOR_DEFAULT_PROFILE;
  const parser = PARSERS.find(machine.isProgram);
  if (parser === undefined) {
    log.warn(UNCONFINED, {
      error: 'the machine has AppArmor and no apparmor_parser',
      next: 'install the package apparmor, then restart slipway-cri',
    });
    return undefined;
  }
  try {
    await load(parser, {machine, signal});
    log.info('AppArmor profile loaded', {profile: APPARMOR_DEFAULT_PROFILE});
    return APPARMOR_DEFAULT_PROFILE;
  } catch (error) {
    signal.throwIfAborted();
    log.warn(UNCONFINED, {
      error: messageOf(error),
      next: `make ${parser} work (is securityfs mounted?), then restart slipway-cri`,
    });
    return undefined;
  }
}

const UNCONFINED = 'containers run without an AppArmor profile: the default one cannot be loaded';

const thisMachine: ApparmorMachine = {
  readText,
  isProgram: path => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false; // whatever the reason, it can't be run
    }
  },
  run: runCommand,
};

function isLoaded(name: string, {readText: read}: ApparmorMachine): boolean {
  const lines = read(PROFILES_FILE)?.split('\n') ?? [];
  return lines.some(line => line.startsWith(`${name} (`));
}

/** From standard input, and without the parser's cache: nothing of it is on the disk. */
async function load(
  parser: string,
  {machine, signal}: {readonly machine: ApparmorMachine; readonly signal: AbortSignal},
): Promise<void> {
  const {exitCode, stderr} = await machine.run({
    command: [parser, '-Kr'],
    input: apparmorProfile({hasAbi: machine.readText(ABI_FILE) !== undefined}),
    timeoutMs: LOAD_MS_MAX,
    signal,
  });
  if (exitCode === 0) return;
  const said = Buffer.from(stderr).toString().trim().slice(0, MESSAGE_CHARACTERS_MAX);
  throw new Error(`${parser} ended with ${exitCode}: ${said}`);
}
