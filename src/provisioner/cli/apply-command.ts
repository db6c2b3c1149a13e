import {CodedError, isCoded} from '#shared/errors';
import {converge} from '../actions/converge.ts';
import {interrupted, type Outcome, throwOutcome} from '../actions/outcome.ts';
import type {ProvisionerErrorCode} from '../errors.ts';
import {ProblemsError} from '../problems-error.ts';
import {formatProof, ProofFailedError, type ProofResult} from '../proof/proof-result.ts';
import {formatOutcomes, plural} from '../report/text-report.ts';
import {type CommandContext, type CommandInput, openContext} from './context.ts';
import {exitCodeOf} from './exit-code.ts';

/** `provision [apply] cluster.yaml`: the whole path, from hosts to proof. */
export async function applyCommand(input: CommandInput): Promise<number> {
  await using context = await openContext(input);
  const {environment, reporter, journal} = context;
  const {signal} = environment;
  let outcome: Outcome | undefined;
  let thrown: unknown;
  try {
    outcome = await converge(environment, {
      confirm: async plan => {
        await journal?.writePlan(plan.lines);
        await reporter.flush();
        await confirm(input, `Make ${plural(plan.changes, 'change')}?`);
      },
    });
    throwOutcome(outcome, {signal});
  } catch (error) {
    // Whatever broke off because of Ctrl-C, Ctrl-C is what the run ended with.
    const isOwn = isCoded(error) || error instanceof ProblemsError;
    thrown = signal.aborted && !isOwn ? interrupted() : error;
  }
  finish(context, {outcome, thrown});
  if (thrown instanceof Error) throw thrown;
  return 0;
}

interface End {
  readonly outcome: Outcome | undefined;
  readonly thrown: unknown;
}

function finish({reporter, journal}: CommandContext, {outcome, thrown}: End): void {
  const changes = outcome?.changes ?? 0;
  const hosts = outcome?.hosts ?? [];
  const proof = outcome?.proof ?? failedProof(outcome?.errors ?? [thrown]);
  if (proof !== undefined) reporter.say(`\n${formatProof(proof)}`);
  if (changes > 0) reporter.say(`\n${reporter.timeline.format()}`);
  if (thrown !== undefined && hosts.length > 0) reporter.say(`\n${formatOutcomes(hosts)}`);
  const {seconds} = reporter;
  const ok = thrown === undefined;
  const exitCode = ok ? 0 : exitCodeOf(thrown);
  reporter.emit({type: 'run-finished', ok, exitCode, changes, seconds, hosts});
  const end = ok ? 'done' : 'not finished';
  reporter.say(`${end}: ${plural(changes, 'change')} in ${seconds.toFixed(1)} s`);
  if (!ok && journal !== undefined) reporter.say(`journal: ${journal.directory}`);
}

/** The table of a proof that failed: that is when it is wanted most. */
function failedProof(errors: readonly unknown[]): ProofResult | undefined {
  return errors.find(error => error instanceof ProofFailedError)?.result;
}

/**
 * Asks on a terminal; `--yes` answers. Elsewhere nobody can be asked.
 *
 * @throws CodedError ERR_CONFIRMATION_NEEDED, ERR_DECLINED
 */
export async function confirm(
  {args, output, ask, signal}: CommandInput,
  question: string,
): Promise<void> {
  if (args.options.yes) return;
  if (output.isTerminal && args.options.output === 'text') {
    const answer = await ask(`${question} [y/N] `);
    signal.throwIfAborted();
    if (/^y(es)?$/i.test(answer.trim())) return;
    throw new CodedError<ProvisionerErrorCode>('ERR_DECLINED', 'declined: nothing was changed', {
      hint: 'to make the changes, run the same command again and answer y',
    });
  }
  throw new CodedError<ProvisionerErrorCode>(
    'ERR_CONFIRMATION_NEEDED',
    `${question} There is no terminal to answer on`,
    {hint: 'look at the plan, then run the same command with --yes'},
  );
}
