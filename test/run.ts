/**
 * Runs the checks and every level of tests that this machine can, and ends with one line:
 * `N passed, N failed`, and `, N skipped` if any were. `npm test -- unit e2e` runs only those.
 * Chaos runs only where it is named: it waits for minutes by nature.
 *
 * A level that cannot run here is said so in one line; where `CI=true` it is a failure.
 */
import {messageOf} from '#shared/errors';
import {startArtifacts} from '#test/run/artifacts';
import {takeMachine, missingReason} from '#test/run/machine';
import {findLeftovers, snapshotMachine} from '#test/run/leftovers';
import {removeDeadLab, removeLeftLab} from '#test/run/left-lab';
import {removeLeftProcesses} from '#test/run/left-processes';
import {runChecks, runLevel, type LevelOptions, type LevelResult} from '#test/run/level';
import {formatResults, formatTotals, totalsOf} from '#test/run/report';
import {markRun} from '#test/run/this-run';

const STEPS = ['check', 'unit', 'lab', 'integration', 'e2e', 'chaos'] as const;
type Step = (typeof STEPS)[number];

/** Steps that need neither root nor programs of the artifact cache. */
const CODE_STEPS: readonly Step[] = ['check', 'unit'];

/** Steps that share the one lab of a machine, in the order in which they run. */
const CLUSTER_STEPS: readonly Step[] = ['e2e', 'chaos'];

/**
 * A lab leaves half of the processors to what runs beside it, which leaves them to the lab, as by
 * nice(1): a compiler can be put off for as long as one likes, a test has time limits.
 */
const NICENESS: Partial<Record<Step, number>> = {check: 19, unit: 5, integration: 5};
const DEFAULT_STEPS: readonly Step[] = STEPS.filter(step => step !== 'chaos');

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

async function main(words: readonly string[], signal: AbortSignal): Promise<number> {
  const unknown = words.filter(word => !STEPS.some(step => step === word));
  if (unknown.length > 0) {
    console.error(`npm test: ${unknown.join(' ')} is not one of ${STEPS.join(', ')}`);
    return EXIT_USAGE;
  }
  const named = STEPS.filter(step => words.includes(step));
  const wanted = named.length === 0 ? DEFAULT_STEPS : named;
  const needsMachine = wanted.some(step => !CODE_STEPS.includes(step));
  await using machine = needsMachine ? await takeMachine() : undefined;
  if (machine?.isTaken === true) {
    console.error('npm test: another test run has this machine; start again when it has ended');
    return EXIT_FAILED;
  }
  const results = await runSteps(wanted, signal).catch((error: unknown) => [
    failedStep('run', messageOf(error)),
  ]);
  console.log(`\n${formatResults(results)}`);
  const totals = totalsOf(results);
  console.log(formatTotals(totals));
  return totals.failed > 0 || totals.passed === 0 ? EXIT_FAILED : 0;
}

/**
 * Two steps at a time: code, then integration, beside those that have the lab. The step `lab` looks
 * at the whole machine, so integration waits for its end.
 */
async function runSteps(wanted: readonly Step[], signal: AbortSignal): Promise<LevelResult[]> {
  const pick = (steps: readonly Step[]) => steps.filter(step => wanted.includes(step));
  const code = pick(CODE_STEPS);
  if (code.length === wanted.length) return await runTrack(code, step => runStep(step, {signal}));
  const reason = await missingReason(signal);
  const mark = markRun();
  const before = reason === undefined ? await cleanMachine(signal) : undefined;
  const artifacts = before === undefined ? undefined : startArtifacts(signal);
  const runNiced = async (step: Step) => await runStep(step, {signal, niceness: NICENESS[step]});
  const runOnMachine = async (step: Step) => {
    const failure = await artifacts?.failure;
    const missing = reason ?? failure?.reason;
    if (missing !== undefined) return missingLevel(step, missing, failure?.isMachine);
    return await runNiced(step);
  };
  // On a cold machine the code steps are done before the artifacts are.
  const codeDone = runTrack(code, runNiced);
  const labDone = runTrack(pick(['lab']), runOnMachine);
  const tracks = await Promise.all([
    codeDone,
    labDone,
    Promise.all([codeDone, labDone]).then(() => runTrack(pick(['integration']), runOnMachine)),
    labDone.then(() => runTrack(pick(CLUSTER_STEPS), runOnMachine)),
  ]);
  await artifacts?.stop();
  const results = tracks.flat();
  if (before !== undefined) results.push(await cleanUp(before, mark));
  return results;
}

/** One step after the other; what is thrown ends it, as a failure. */
async function runTrack(
  steps: readonly Step[],
  runOne: (step: Step) => Promise<LevelResult>,
): Promise<LevelResult[]> {
  const results: LevelResult[] = [];
  try {
    for (const step of steps) results.push(await runOne(step));
  } catch (error) {
    results.push(failedStep('run', messageOf(error)));
  }
  return results;
}

async function runStep(step: Step, options: LevelOptions): Promise<LevelResult> {
  options.signal.throwIfAborted();
  return step === 'check' ? await runChecks(options) : await runLevel(step, options);
}

async function cleanMachine(signal: AbortSignal): ReturnType<typeof snapshotMachine> {
  const dead = await removeDeadLab(signal);
  if (dead !== undefined) console.log(`removed what the dead lab of ${dead} had left`);
  return await snapshotMachine();
}

/** What tests leave behind is removed, and counts as a failure of theirs. */
async function cleanUp(
  before: Awaited<ReturnType<typeof snapshotMachine>>,
  mark: string,
): Promise<LevelResult> {
  const started = performance.now();
  const left: string[] = [];
  try {
    left.push(...findLeftovers(before, await snapshotMachine()));
    const lab = await removeLeftLab();
    if (lab !== undefined) left.push(lab);
    left.push(...(await removeLeftProcesses(mark)));
    const stayed = findLeftovers(before, await snapshotMachine());
    if (stayed.length > 0) left.push(`not removed: ${stayed.join(', ')}`);
  } catch (error) {
    left.push(messageOf(error));
  }
  const seconds = (performance.now() - started) / 1000;
  if (left.length > 0) return {...failedStep('leftovers', left.join('; ')), seconds};
  return {name: 'leftovers', passed: 1, failed: 0, skipped: 0, seconds, note: 'none'};
}

/** @param isMachine false when it is no fault of the machine, but one of ours */
function missingLevel(name: string, reason: string, isMachine = true): LevelResult {
  const isFailure = !isMachine || process.env['CI'] === 'true';
  const note = `not run: ${reason}`;
  console.log(`\n== ${name}: ${note}`);
  return {name, passed: 0, failed: isFailure ? 1 : 0, skipped: isFailure ? 0 : 1, seconds: 0, note};
}

function failedStep(name: string, note: string): LevelResult {
  return {name, passed: 0, failed: 1, skipped: 0, seconds: 0, note};
}

const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    interrupt.abort(new Error(`stopped by ${name}`));
  });
}
process.exitCode = await main(process.argv.slice(2), interrupt.signal);
