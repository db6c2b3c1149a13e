import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';

/**
 * Names of the CRI enum Signal by number, without `SIGNAL_SIG`; 0 is "the runtime's default".
 * The numbers are the alphabet's, not the kernel's.
 */
const CRI_SIGNALS: readonly string[] = [
  '', 'ABRT', 'ALRM', 'BUS', 'CHLD', 'CLD', 'CONT', 'FPE', 'HUP', 'ILL', 'INT', 'IO', 'IOT',
  'KILL', 'PIPE', 'POLL', 'PROF', 'PWR', 'QUIT', 'SEGV', 'STKFLT', 'STOP', 'SYS', 'TERM', 'TRAP',
  'TSTP', 'TTIN', 'TTOU', 'URG', 'USR1', 'USR2', 'VTALRM', 'WINCH', 'XCPU', 'XFSZ', 'RTMIN',
  ...Array.from({length: 15}, (_, offset) => `RTMIN+${offset + 1}`),
  ...Array.from({length: 14}, (_, offset) => `RTMAX-${14 - offset}`),
  'RTMAX',
]; // prettier-ignore

/** Numbers of the names in the kernel's x86 and arm ABI (signal(7)). */
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = {
  HUP: 1, INT: 2, QUIT: 3, ILL: 4, TRAP: 5, ABRT: 6, IOT: 6, BUS: 7, FPE: 8, KILL: 9, USR1: 10,
  SEGV: 11, USR2: 12, PIPE: 13, ALRM: 14, TERM: 15, STKFLT: 16, CHLD: 17, CLD: 17, CONT: 18,
  STOP: 19, TSTP: 20, TTIN: 21, TTOU: 22, URG: 23, XCPU: 24, XFSZ: 25, VTALRM: 26, PROF: 27,
  WINCH: 28, IO: 29, POLL: 29, PWR: 30, SYS: 31,
}; // prettier-ignore

const SIGRTMIN = 34;
const SIGRTMAX = 64;
const SIGTERM = 15;

/**
 * The number of the signal that asks a container to stop: the CRI's before the image's before
 * TERM. An image's name that nobody knows counts as TERM, as in the reference: the container can
 * still be stopped, later by KILL.
 * @param cri CRI enum Signal, 0..65.
 * @param image STOPSIGNAL of the image: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`.
 * @throws CodedError ERR_REQUEST_INVALID for a number that the enum does not have.
 */
export function stopSignal(cri: number, image: string | undefined): number {
  if (cri !== 0) {
    const name = CRI_SIGNALS[cri];
    const number = name === undefined ? undefined : signalNumber(name);
    if (number !== undefined) return number;
    throw new CodedError<RuntimeErrorCode>(
      'ERR_REQUEST_INVALID',
      `stop_signal ${cri} is not a value of the CRI enum Signal (0..${CRI_SIGNALS.length - 1})`,
      {hint: 'use a signal name that the API server accepts in lifecycle.stopSignal'},
    );
  }
  return image === undefined ? SIGTERM : (signalNumber(image) ?? SIGTERM);
}

/** The CRI enum's value for a signal's number, as ContainerStatus reports it; 0 when unknown. */
export function criSignal(number: number): number {
  return Math.max(
    0,
    CRI_SIGNALS.findIndex(name => name !== '' && signalNumber(name) === number),
  );
}

/** The kernel's number of `SIGTERM`, `term`, `15`, `RTMIN+3` …; undefined when there is none. */
export function signalNumber(text: string): number | undefined {
  const name = text.trim().toUpperCase().replace(/^SIG/, '');
  if (/^\d{1,2}$/.test(name)) return checked(Number(name));
  const realTime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (realTime === null)
    return Object.hasOwn(SIGNAL_NUMBERS, name) ? SIGNAL_NUMBERS[name] : undefined;
  const [, base, sign = '+', distance = '0'] = realTime;
  const start = base === 'MIN' ? SIGRTMIN : SIGRTMAX;
  const number = sign === '+' ? start + Number(distance) : start - Number(distance);
  return number >= SIGRTMIN ? checked(number) : undefined;
}

function checked(number: number): number | undefined {
  return number >= 1 && number <= SIGRTMAX ? number : undefined;
}
