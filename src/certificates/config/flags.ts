import {CodedError, messageOf} from '#shared/errors';
import type {LogFormat, LogLevel} from '#shared/log';
import {nearest} from '#shared/nearest';
import {parseGoDuration} from '../apis/duration.ts';
import type {ControllerSettings} from '../controllers/dependencies.ts';
import type {CertificatesErrorCode} from '../errors.ts';
import {enabledControllers} from './controller-names.ts';
import {FLAGS, FLAGS_WITHOUT_EFFECT, type Flag, type FlagName} from './flag-table.ts';

/** Everything that the command line decides. */
export interface ControllerConfig extends ControllerSettings {
  /** The only namespace to work in; all when absent. */
  readonly namespace?: string;
  readonly concurrentWorkers: number;
  readonly leaderElection: {
    readonly enabled: boolean;
    readonly namespace: string;
    readonly leaseMs: number;
    readonly renewMs: number;
    readonly retryMs: number;
  };
  /** `HOST:PORT`. */
  readonly metricsAddress: string;
  readonly healthAddress: string;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  /** Path of a file; the pod's service account when absent. */
  readonly kubeconfig?: string;
}

/**
 * Reads the flags, as Go programs take them: `--name=value`, `--name value`, `--name` for a
 * boolean, one dash as good as two, and the last one counts.
 *
 * @throws CodedError ERR_USAGE for an unknown flag or a value that cannot be,
 *   ERR_CONTROLLER_CONFIG_INVALID for values that do not go together
 */
export function parseFlags(argv: readonly string[]): ControllerConfig {
  const values = readValues(argv);
  const text = (name: FlagName): string => values[name];
  const list = (name: FlagName): readonly string[] => text(name).split(',').map(part => part.trim()).filter(part => part !== ''); // prettier-ignore
  const flag = (name: FlagName): boolean => text(name) === 'true';
  const durationMs = (name: FlagName): number => parseGoDuration(text(name));
  const config: ControllerConfig = {
    ...(text('namespace') === '' ? {} : {namespace: text('namespace')}),
    ...(text('kubeconfig') === '' ? {} : {kubeconfig: text('kubeconfig')}),
    clusterResourceNamespace: text('cluster-resource-namespace'),
    controllers: enabledControllers(list('controllers')),
    concurrentWorkers: Number(text('concurrent-workers')),
    certificateOwnerRef: flag('enable-certificate-owner-ref'),
    copiedAnnotationPrefixes: list('copied-annotation-prefixes'),
    minimumBackoffMs: durationMs('certificate-request-minimum-backoff-duration'),
    maximumBackoffMs: durationMs('certificate-request-maximum-backoff-duration'),
    leaderElection: {
      enabled: flag('leader-elect'),
      namespace: text('leader-election-namespace'),
      leaseMs: durationMs('leader-election-lease-duration'),
      renewMs: durationMs('leader-election-renew-deadline'),
      retryMs: durationMs('leader-election-retry-period'),
    },
    metricsAddress: text('metrics-listen-address'),
    healthAddress: text('internal-healthz-listen-address'),
    logLevel: logLevel(Number(text('v'))),
    logFormat: text('logging-format') === 'text' ? 'text' : 'json',
  };
  refuseContradictions(config);
  return config;
}

function readValues(argv: readonly string[]): Readonly<Record<FlagName, string>> {
  const defaults = FLAGS.map(({name, default: value}) => [name, value] as const);
  const values = Object.fromEntries(defaults) as Record<FlagName, string>; // the table's names
  const left = argv.values();
  for (const argument of left) {
    const [, name, inline] = /^--?([A-Za-z][^=]*)(?:=([^]*))?$/.exec(argument) ?? [];
    if (name === undefined) {
      const shown = JSON.stringify(argument);
      throw usage(`${shown} is no flag`, 'write --name=value; --help lists all flags');
    }
    const flag = FLAGS.find(each => each.name === name);
    if (flag === undefined) throw unknownFlag(name);
    const value = inline ?? (flag.kind === 'boolean' ? 'true' : left.next().value);
    if (value === undefined) {
      throw usage(`--${name} has no value`, `write --${name}=${flag.default || 'VALUE'}`);
    }
    refuseValue(flag, value);
    values[flag.name] = value;
  }
  return values;
}

function unknownFlag(name: string): CodedError<CertificatesErrorCode> {
  const without = FLAGS_WITHOUT_EFFECT.find(({pattern}) => pattern.test(name));
  if (without !== undefined) {
    return usage(`--${name} would have no effect: ${without.reason}`, 'leave it out');
  }
  const near = nearest(name, FLAGS.map(each => each.name)); // prettier-ignore
  const hint = near === undefined ? 'see --help' : `write --${near}, or see --help`;
  return usage(`there is no flag --${name}`, hint);
}

function refuseValue(flag: Flag, value: string): void {
  const expected = unmetExpectation(flag, value);
  if (expected === undefined) return;
  const hint = flag.default === '' ? 'see --help' : `the default is ${flag.default}`;
  throw usage(`--${flag.name}=${JSON.stringify(value)}: expected ${expected}`, hint);
}

function unmetExpectation(
  {kind, min = 0, max = Infinity, choices = []}: Flag,
  value: string,
): string | undefined {
  switch (kind) {
    case 'boolean':
      return value === 'true' || value === 'false' ? undefined : 'true or false';
    case 'integer':
      return /^\d{1,9}$/.test(value) && Number(value) >= min && Number(value) <= max
        ? undefined
        : `a number from ${min} to ${max}`;
    case 'duration':
      return durationProblem(value, {min, max});
    case 'choice':
      return choices.includes(value) ? undefined : choices.join(' or ');
    case 'text':
    case 'list':
      return undefined;
    default:
      return kind satisfies never;
  }
}

function durationProblem(
  value: string,
  {min, max}: {readonly min: number; readonly max: number},
): string | undefined {
  try {
    const ms = parseGoDuration(value);
    return ms >= min && ms <= max ? undefined : `from ${min / 1000} to ${max / 1000} seconds`;
  } catch (error) {
    return `a duration like 1h30m (${messageOf(error)})`;
  }
}

/** klog's levels: cert-manager's manifests set 2. */
function logLevel(verbosity: number): LogLevel {
  if (verbosity === 0) return 'warn';
  return verbosity >= 4 ? 'debug' : 'info';
}

function refuseContradictions(config: ControllerConfig): void {
  const {leaseMs, renewMs, retryMs} = config.leaderElection;
  const problems = [
    leaseMs <= renewMs &&
      '--leader-election-renew-deadline has to be shorter than --leader-election-lease-duration',
    renewMs <= retryMs &&
      '--leader-election-retry-period has to be shorter than --leader-election-renew-deadline',
    config.minimumBackoffMs > config.maximumBackoffMs &&
      '--certificate-request-minimum-backoff-duration is longer than the maximum',
    !isAddress(config.metricsAddress) && '--metrics-listen-address is not HOST:PORT',
    !isAddress(config.healthAddress) && '--internal-healthz-listen-address is not HOST:PORT',
    config.namespace !== undefined &&
      !isName(config.namespace) &&
      '--namespace is not the name of a namespace',
    !isName(config.clusterResourceNamespace) &&
      '--cluster-resource-namespace is not the name of a namespace',
    !isName(config.leaderElection.namespace) &&
      '--leader-election-namespace is not the name of a namespace',
  ].filter(problem => problem !== false);
  if (problems.length === 0) return;
  throw new CodedError<CertificatesErrorCode>(
    'ERR_CONTROLLER_CONFIG_INVALID',
    problems.join('; '),
    {hint: 'correct the flags; --help shows their defaults'},
  );
}

/** `HOST:PORT` or `:PORT`, an IPv6 host in brackets. */
function isAddress(text: string): boolean {
  const [, port] = /^(?:\[[0-9a-fA-F:.]+\]|[^:[\]]*):(\d{1,5})$/.exec(text) ?? [];
  return port !== undefined && Number(port) <= 65_535;
}

/** A DNS label (RFC 1123), which is what namespaces are named by. */
function isName(text: string): boolean {
  return /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(text);
}

function usage(message: string, hint: string): CodedError<CertificatesErrorCode> {
  return new CodedError('ERR_USAGE', message, {hint});
}
