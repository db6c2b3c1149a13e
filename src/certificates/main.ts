import {readFile} from 'node:fs/promises';
import {hostname} from 'node:os';
import {CodedError, type ErrorRegistry, isCoded, messageOf} from '#shared/errors';
import {createLog} from '#shared/log';
import {type ControllerConfig, parseFlags} from './config/flags.ts';
import {certificatesErrors, type CertificatesErrorCode} from './errors.ts';
import type {Credentials} from './kube/credentials.ts';
import {VERSION} from './version.ts';

process.exitCode = await main(process.argv.slice(2)).catch(reportFailure);

async function main(argv: readonly string[]): Promise<number> {
  if (argv.includes('--version')) {
    process.stdout.write(`slipway-certs ${VERSION}\n`);
    return 0;
  }
  if (argv.includes('--help') || argv.includes('-h')) {
    const {formatHelp} = await import('./config/help.ts');
    process.stdout.write(formatHelp());
    return 0;
  }
  await run(parseFlags(argv));
  process.exit(0); // whatever still waits is taken up after the next start
}

async function run(config: ControllerConfig): Promise<void> {
  const ending = endingSignal();
  const credentials = await findCredentials(config);
  // Only here: a wrong flag is answered without the controller's parts.
  const [{startController}, {openApiClient}, {systemClock}, {runController}] = await Promise.all([
    import('./controller.ts'),
    import('./kube/client.ts'),
    import('./kube/clock.ts'),
    import('./run-controller.ts'),
  ]);
  await using client = openApiClient({credentials, userAgent: `slipway-certs/${VERSION}`});
  await runController(config, {
    client,
    clock: systemClock,
    log: createLog({
      level: config.logLevel,
      format: config.logFormat,
      write: line => process.stderr.write(line),
    }),
    // A container that is started again in its pod takes its own Lease up without waiting.
    identity: process.env['POD_NAME'] ?? `${hostname()}_${process.pid}`,
    monotonicMs: () => performance.now(),
    ending,
    start: startController,
  });
}

async function findCredentials({kubeconfig}: ControllerConfig): Promise<Credentials> {
  if (kubeconfig === undefined) {
    const {inClusterCredentials} = await import('./kube/credentials.ts');
    return inClusterCredentials({environment: process.env});
  }
  const {kubeconfigCredentials} = await import('./kube/kubeconfig.ts');
  let text: string;
  try {
    text = await readFile(kubeconfig, 'utf8');
  } catch (cause) {
    throw new CodedError<CertificatesErrorCode>(
      'ERR_CREDENTIALS_INVALID',
      `cannot read the kubeconfig ${kubeconfig}: ${messageOf(cause)}`,
      {hint: 'check the path after --kubeconfig', cause},
    );
  }
  return kubeconfigCredentials(text, {path: kubeconfig});
}

function endingSignal(): AbortSignal {
  const ending = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (ending.signal.aborted) process.exit(130); // asked twice: at once
      ending.abort(new Error(`${name} was received`));
    });
  }
  return ending.signal;
}

/** Two lines for what has a code, a stack trace for a defect of ours. */
function reportFailure(error: unknown): number {
  if (!isCoded(error)) {
    console.error(error);
    return 1;
  }
  process.stderr.write(`${error.code}: ${error.message}\n  next: ${error.hint}\n`);
  const registry: ErrorRegistry = certificatesErrors;
  return new Map<string, number>(Object.entries(registry)).get(error.code) ?? 1;
}
