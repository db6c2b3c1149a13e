import {run} from '#shared/local-process';
import {TapReader} from './tap.ts';

/** How one step of a test run ended. */
export interface LevelResult {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
  readonly note?: string;
}

export interface LevelOptions {
  readonly signal: AbortSignal;
  /** How much of the processors it leaves to what runs beside it, as for nice(1). @default 0 */
  readonly niceness?: number | undefined;
}

/** Compiler, linters and the rules of the layout; each counts as one test. */
const CHECKS: readonly (readonly string[])[] = [
  ['tsc'],
  ['eslint', '.'],
  ['prettier', '--check', '--log-level', 'warn', '.'],
  ['depcruise', '--config', '.dependency-cruiser.mjs', '--output-type', 'err', 'src', 'roles', 'test'],
  ['knip'],
]; // prettier-ignore

/**
 * Files of a level that may run beside its others. Certificates need an API server on loopback and
 * nothing else of the machine.
 */
const LANES: Readonly<Record<string, readonly string[]>> = {
  integration: ['test/integration/*.test.ts', 'test/integration/certificates/*.test.ts'],
};

export async function runChecks(options: LevelOptions): Promise<LevelResult> {
  console.log('\n== check');
  const startedMs = performance.now();
  const failed: string[] = [];
  for (const argv of CHECKS) {
    const ownMs = performance.now();
    const {exitCode, stdout, stderr} = await run(niced(argv, options), {signal: options.signal});
    const [name = ''] = argv;
    printLine(exitCode === 0 ? 'ok' : 'FAILED', ownMs, `check › ${name}`);
    if (exitCode === 0) continue;
    failed.push(name);
    console.log(`${stdout}${stderr}`.trimEnd());
  }
  return {
    name: 'check',
    passed: CHECKS.length - failed.length,
    failed: failed.length,
    skipped: 0,
    seconds: (performance.now() - startedMs) / 1000,
    ...(failed.length > 0 ? {note: failed.join(', ')} : {}),
  };
}

/** Runs the tests of one level, and prints each of them as it ends. */
export async function runLevel(name: string, options: LevelOptions): Promise<LevelResult> {
  console.log(`\n== ${name}`);
  const startedMs = performance.now();
  const files = LANES[name]?.map(pattern => [pattern]) ?? [[]];
  const lanes = await Promise.all(files.map(patterns => runLane(name, patterns, options)));
  const sum = (count: 'passed' | 'failed' | 'skipped') =>
    lanes.reduce((total, lane) => total + lane[count], 0);
  return {
    name,
    passed: sum('passed'),
    failed: sum('failed'),
    skipped: sum('skipped'),
    seconds: (performance.now() - startedMs) / 1000,
  };
}

async function runLane(
  level: string,
  patterns: readonly string[],
  options: LevelOptions,
): Promise<Pick<LevelResult, 'passed' | 'failed' | 'skipped'>> {
  let lastMs = performance.now();
  const reader = new TapReader({
    onTest: ({ok, skipped, title}) => {
      printLine(skipped ? 'skip' : ok ? 'ok' : 'FAILED', lastMs, `${level} › ${title}`);
      lastMs = performance.now();
    },
    onDetail: line => {
      console.log(`        ${line}`);
    },
  });
  const {exitCode, stderr} = await run(niced(['ava', '--tap', ...patterns], options), {
    signal: options.signal,
    env: {TEST_LEVEL: level},
    onLine: (line, stream) => {
      if (stream === 'stdout') reader.push(line);
      else console.log(`        ${line}`);
    },
  });
  const {passed, failed, skipped} = reader;
  // ava ends badly without a failed test when a file cannot be loaded, or when nothing was found.
  const broken = exitCode !== 0 && failed === 0;
  if (broken) console.log(`ava ended with ${exitCode}: ${stderr.split('\n').slice(-5).join('\n')}`);
  return {passed, failed: broken ? 1 : failed, skipped};
}

function niced(argv: readonly string[], {niceness = 0}: LevelOptions): readonly string[] {
  return niceness === 0 ? argv : ['nice', '-n', String(niceness), ...argv];
}

/** @param sinceMs when the one before it in its lane ended: its own time where they run one by one */
function printLine(state: string, sinceMs: number, title: string): void {
  const seconds = (performance.now() - sinceMs) / 1000;
  console.log(`${state.padEnd(6)} ${seconds.toFixed(1).padStart(6)} s  ${title}`);
}
