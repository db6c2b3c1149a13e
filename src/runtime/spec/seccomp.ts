import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {HostAbilities, SecurityProfile} from './input.ts';
import type {OciSeccomp, OciSyscall, OciSyscallArgument} from './oci-spec.ts';
import {checkedSeccompProfile} from './seccomp-profile.ts';
import table from './seccomp-default.json' with {type: 'json'};

const RUNTIME_DEFAULT = 0;
const UNCONFINED = 1;
const LOCALHOST = 2;

export interface SeccompRequest {
  /** Nil is unconfined, as the CRI says. */
  readonly profile: SecurityProfile | undefined;
  readonly privileged: boolean;
  /** What the container may do: rules of RuntimeDefault depend on it. */
  readonly capabilities: readonly string[];
  readonly host: Pick<HostAbilities, 'architecture' | 'x32' | 'seccomp'>;
  /** The parsed profile that a Localhost reference names. */
  readonly localhost: unknown;
}

/**
 * The system call filter of a container; undefined is none: nil profile, Unconfined, privileged.
 * RuntimeDefault on a machine without seccomp is left out with a notice, because pods that ask for
 * it by habit must still run; Localhost is refused there, because somebody meant it.
 * @throws CodedError ERR_SECCOMP_PROFILE_INVALID, ERR_REQUEST_INVALID.
 */
export function containerSeccomp(request: SeccompRequest): {
  readonly seccomp?: OciSeccomp;
  readonly notices: readonly string[];
} {
  const {profile, privileged, capabilities, host, localhost} = request;
  if (profile === undefined || privileged || profile.profileType === UNCONFINED) {
    return {notices: []};
  }
  switch (profile.profileType) {
    case RUNTIME_DEFAULT:
      return host.seccomp
        ? {seccomp: defaultSeccomp(capabilities, host), notices: []}
        : {notices: ['containers run without seccomp: kernel or OCI runtime do not have it']};
    case LOCALHOST:
      if (host.seccomp)
        return {seccomp: checkedSeccompProfile(localhost, profile.localhostRef), notices: []};
      throw new CodedError<RuntimeErrorCode>(
        'ERR_SECCOMP_PROFILE_INVALID',
        `seccomp profile ${profile.localhostRef} cannot be used: the machine has no seccomp`,
        {hint: 'use a kernel with CONFIG_SECCOMP_FILTER and an OCI runtime built with libseccomp'},
      );
    default:
      throw new CodedError<RuntimeErrorCode>(
        'ERR_REQUEST_INVALID',
        `seccomp profile type ${profile.profileType} is not one of the CRI's (0, 1, 2)`,
        {hint: 'use RuntimeDefault, Localhost or Unconfined'},
      );
  }
}

/** A rule of the table: what fits the machine and the container becomes an OCI rule. */
interface Rule {
  readonly names: readonly string[];
  /** Absent: allow. */
  readonly errno?: number;
  readonly arguments?: readonly {
    readonly index: number;
    readonly op: string;
    /** What is compared with; the mask for `masked_eq`. */
    readonly value: number;
    /** For `masked_eq`: what the masked argument is. */
    readonly valueTwo?: number;
  }[];
  readonly architectures?: readonly string[];
  readonly notArchitectures?: readonly string[];
  /** All of these capabilities are there. */
  readonly with?: readonly string[];
  /** None of these capabilities is there. */
  readonly without?: readonly string[];
}

/**
 * RuntimeDefault for a container with these capabilities, of the facts in seccomp-default.json.
 * Where two unconditional rules name a call, the first one counts: the order of the facts.
 *
 * Rules for x32 are left out where the kernel refuses such calls anyhow: they make the filter twice
 * as expensive to compile, which every start of a container waits for. A filter without them kills
 * the thread that tries one (seccomp_attr_set(3), SCMP_FLTATR_ACT_BADARCH).
 */
export function defaultSeccomp(
  capabilities: readonly string[],
  {architecture, x32}: Pick<HostAbilities, 'architecture' | 'x32'>,
): OciSeccomp {
  const has = new Set(capabilities);
  const machine = architecture === 'x64' ? 'amd64' : architecture;
  const rules: readonly Rule[] = [
    {names: table.allow},
    ...Object.entries(table.refuse).map(([errno, names]) => ({names, errno: Number(errno)})),
    ...(table.rules as readonly Rule[]),
  ];
  const decided = new Set<string>();
  const syscalls = rules.flatMap(rule => {
    if (!fits(rule, has, machine)) return [];
    const names = rule.names.filter(name => !decided.has(name));
    if (names.length === 0) return [];
    if (rule.arguments === undefined) for (const name of names) decided.add(name);
    return [ociSyscall(rule, names)];
  });
  const architectures = Object.entries(table.architectures)
    .find(([name]) => name === architecture)?.[1]
    .filter(name => x32 || name !== 'SCMP_ARCH_X32');
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: table.defaultErrno,
    // Without a list the filter holds for the machine's own architecture only.
    ...(architectures === undefined ? {} : {architectures}),
    syscalls,
  };
}

function fits(rule: Rule, has: ReadonlySet<string>, machine: string): boolean {
  return (
    (rule.architectures?.includes(machine) ?? true) &&
    !(rule.notArchitectures?.includes(machine) ?? false) &&
    (rule.with?.every(name => has.has(name)) ?? true) &&
    !(rule.without?.some(name => has.has(name)) ?? false)
  );
}

function ociSyscall(rule: Rule, names: readonly string[]): OciSyscall {
  const args = rule.arguments?.map(({op, ...argument}): OciSyscallArgument => ({
    ...argument,
    op: `SCMP_CMP_${op.toUpperCase()}`,
  }));
  return {
    names,
    ...(rule.errno === undefined
      ? {action: 'SCMP_ACT_ALLOW'}
      : {action: 'SCMP_ACT_ERRNO', errnoRet: rule.errno}),
    ...(args === undefined ? {} : {args}),
  };
}
