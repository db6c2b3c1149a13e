import {type Outcome, throwOutcome} from '../actions/outcome.ts';
import {reset} from '../actions/reset.ts';
import {formatOutcomes, plural} from '../report/text-report.ts';
import {confirm} from './apply-command.ts';
import {type CommandInput, openContext} from './context.ts';
import {exitCodeOf} from './exit-code.ts';

/** `provision reset`: hosts as they were before us. */
export async function resetCommand(input: CommandInput): Promise<number> {
  await using context = await openContext(input);
  const {environment, reporter} = context;
  const {cluster, signal} = environment;
  let outcome: Outcome = {changes: 0, hosts: [], errors: []};
  const end = (exitCode: number) => {
    const {changes, hosts} = outcome;
    const {seconds} = reporter;
    const ok = exitCode === 0;
    if (!ok && hosts.length > 0) reporter.say(`\n${formatOutcomes(hosts)}`);
    reporter.emit({type: 'run-finished', ok, exitCode, changes, seconds, hosts});
  };
  try {
    outcome = await reset(environment, {
      confirm: async hosts => {
        const question = `Remove the cluster "${cluster.name}" and all its data from ${hosts.join(', ')}?`;
        await reporter.flush();
        await confirm(input, question);
      },
    });
    throwOutcome(outcome, {signal});
    end(0);
    const {hosts} = outcome;
    reporter.say(
      hosts.length === 0 ? 'nothing was reset' : `reset ${plural(hosts.length, 'host')}`,
    );
    return 0;
  } catch (error) {
    end(exitCodeOf(error));
    throw error;
  }
}
