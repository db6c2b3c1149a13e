import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {OciSeccomp, OciSyscall, OciSyscallArgument} from './oci-spec.ts';

/** Actions that the OCI specification names; the OCI runtime refuses what it does not know. */
const ACTIONS: ReadonlySet<string> = new Set(
  ['KILL', 'KILL_PROCESS', 'KILL_THREAD', 'TRAP', 'ERRNO', 'TRACE', 'ALLOW', 'LOG', 'NOTIFY'].map(
    name => `SCMP_ACT_${name}`,
  ),
);
const OPERATORS: ReadonlySet<string> = new Set(
  ['NE', 'LT', 'LE', 'EQ', 'GE', 'GT', 'MASKED_EQ'].map(name => `SCMP_CMP_${name}`),
);

/** Bounds of one profile: far above any in use, far below what would stall the OCI runtime. */
const RULE_COUNT_MAX = 4096;
const NAME_COUNT_MAX = 4096;
const ARGUMENT_COUNT_MAX = 6;

/**
 * Checks a Localhost profile (OCI `linux.seccomp` JSON) and takes over the fields that the
 * specification has, nothing else: the file comes from a person.
 * @param value the parsed JSON; undefined when the file was not found.
 * @param name the profile's reference, for messages.
 * @throws CodedError ERR_SECCOMP_PROFILE_INVALID naming the field.
 */
export function checkedSeccompProfile(value: unknown, name: string): OciSeccomp {
  const check = new Checker(name);
  const profile = check.record(value, 'the profile');
  const defaultErrnoRet = check.optionalInteger(profile['defaultErrnoRet'], 'defaultErrnoRet');
  const architectures = check.optionalStrings(profile['architectures'], 'architectures');
  const flags = check.optionalStrings(profile['flags'], 'flags');
  const listenerPath = check.optionalString(profile['listenerPath'], 'listenerPath');
  const syscalls = profile['syscalls'] ?? [];
  return {
    defaultAction: check.oneOf(profile['defaultAction'], ACTIONS, 'defaultAction'),
    ...(defaultErrnoRet === undefined ? {} : {defaultErrnoRet}),
    ...(architectures === undefined ? {} : {architectures}),
    ...(flags === undefined ? {} : {flags}),
    ...(listenerPath === undefined ? {} : {listenerPath}),
    syscalls: check
      .list(syscalls, RULE_COUNT_MAX, 'syscalls')
      .map((item, index) => checkedSyscall(check, item, `syscalls[${index}]`)),
  };
}

function checkedSyscall(check: Checker, value: unknown, where: string): OciSyscall {
  const syscall = check.record(value, where);
  const names = check.optionalStrings(syscall['names'], `${where}.names`) ?? [];
  if (names.length === 0) check.fail(`${where}.names`, 'at least one system call');
  const errnoRet = check.optionalInteger(syscall['errnoRet'], `${where}.errnoRet`);
  const args = syscall['args'] ?? [];
  const checkedArgs = check
    .list(args, ARGUMENT_COUNT_MAX, `${where}.args`)
    .map((item, index) => checkedArgument(check, item, `${where}.args[${index}]`));
  return {
    names,
    action: check.oneOf(syscall['action'], ACTIONS, `${where}.action`),
    ...(errnoRet === undefined ? {} : {errnoRet}),
    ...(checkedArgs.length === 0 ? {} : {args: checkedArgs}),
  };
}

function checkedArgument(check: Checker, value: unknown, where: string): OciSyscallArgument {
  const argument = check.record(value, where);
  const valueTwo = check.optionalInteger(argument['valueTwo'], `${where}.valueTwo`);
  return {
    index: check.optionalInteger(argument['index'], `${where}.index`) ?? 0,
    value: check.optionalInteger(argument['value'], `${where}.value`) ?? 0,
    ...(valueTwo === undefined ? {} : {valueTwo}),
    op: check.oneOf(argument['op'], OPERATORS, `${where}.op`),
  };
}

/** One place that turns "not what the specification says" into an error. */
class Checker {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  fail(where: string, expected: string): never {
    throw new CodedError<RuntimeErrorCode>(
      'ERR_SECCOMP_PROFILE_INVALID',
      `seccomp profile ${this.#name}: ${where} is not ${expected}`,
      {hint: "compare the file with the OCI runtime specification's linux.seccomp"},
    );
  }

  record(value: unknown, where: string): Readonly<Record<string, unknown>> {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return this.fail(where, value === undefined ? 'there' : 'an object');
    }
    return value as Readonly<Record<string, unknown>>;
  }

  list(value: unknown, countMax: number, where: string): readonly unknown[] {
    if (!Array.isArray(value) || value.length > countMax) {
      return this.fail(where, `a list of at most ${countMax}`);
    }
    return value;
  }

  optionalStrings(value: unknown, where: string): readonly string[] | undefined {
    if (value === undefined || value === null) return undefined;
    return this.list(value, NAME_COUNT_MAX, where).map(
      (item, index) =>
        this.optionalString(item, `${where}[${index}]`) ?? this.fail(where, 'a list of texts'),
    );
  }

  optionalString(value: unknown, where: string): string | undefined {
    if (value === undefined || value === null) return undefined;
    return typeof value === 'string' ? value : this.fail(where, 'a text');
  }

  optionalInteger(value: unknown, where: string): number | undefined {
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
    return this.fail(where, 'a whole number from 0');
  }

  oneOf(value: unknown, allowed: ReadonlySet<string>, where: string): string {
    if (typeof value === 'string' && allowed.has(value)) return value;
    return this.fail(where, `one of ${[...allowed].join(', ')}`);
  }
}
