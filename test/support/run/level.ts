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

/** Compiler, linters and the rules of the layout; each counts as one test. */
const CHECKS: readonly (readonly string[])[] = [
  ['tsc'],
  ['eslint', '.'],
  ['prettier', '--check', '--log-level', 'warn', '.'],
  ['depcruise', '--config', '.dependency-cruiser.mjs', '--output-type', 'err', 'src', 'roles', 'test'],
  ['knip'],
]; // prettier-ignore

/** @param onCheck called after each of them */
export async function runChecks(signal: AbortSignal, onCheck: () => void): Promise<LevelResult> {
  console.log('\n== check');
  const startedMs = performance.now();
  const failed: string[] = [];
  for (const argv of CHECKS) {
    const ownMs = performance.now();
    const {exitCode, stdout, stderr} = await run(argv, {signal});
    const [name = ''] = argv;
    printLine(exitCode === 0 ? 'ok' : 'FAILED', (performance.now() - ownMs) / 1000, name);
    onCheck();
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
export async function runLevel(name: string, signal: AbortSignal): Promise<LevelResult> {
  console.log(`\n== ${name}`);
  const startedMs = performance.now();
  let lastMs = startedMs;
  const reader = new TapReader({
    onTest: ({ok, skipped, title}) => {
      const nowMs = performance.now();
      printLine(skipped ? 'skip' : ok ? 'ok' : 'FAILED', (nowMs - lastMs) / 1000, title);
      lastMs = nowMs;
    },
    onDetail: line => {
      console.log(`        ${line}`);
    },
  });
  const {exitCode, stderr} = await run(['ava', '--tap'], {
    signal,
    env: {TEST_LEVEL: name},
    onLine: (line, stream) => {
      if (stream === 'stdout') reader.push(line);
      else console.log(`        ${line}`);
    },
  });
  const {passed, failed, skipped} = reader;
  const seconds = (performance.now() - startedMs) / 1000;
  // ava ends badly without a failed test when a file cannot be loaded, or when nothing was found.
  const broken = exitCode !== 0 && failed === 0;
  if (broken) console.log(`ava ended with ${exitCode}: ${stderr.split('\n').slice(-5).join('\n')}`);
  return {name, passed, failed: broken ? 1 : failed, skipped, seconds};
}

/** Seconds since the test before it ended: its own time where tests run one after the other. */
function printLine(state: string, seconds: number, title: string): void {
  console.log(`${state.padEnd(6)} ${seconds.toFixed(1).padStart(6)} s  ${title}`);
}
