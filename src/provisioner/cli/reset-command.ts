import {reset} from '../actions/reset.ts';
import {plural} from '../report/text-report.ts';
import {confirm} from './apply-command.ts';
import {type CommandInput, openContext} from './context.ts';
import {exitCodeOf} from './exit-code.ts';

/** `provision reset`: hosts as they were before us. */
export async function resetCommand(input: CommandInput): Promise<number> {
  await using context = await openContext(input);
  const {environment, reporter} = context;
  const {cluster} = environment;
  const end = (exitCode: number, changes: number) => {
    const {seconds} = reporter;
    const ok = exitCode === 0;
    reporter.emit({type: 'run-finished', ok, exitCode, changes, seconds, hosts: []});
  };
  try {
    const count = await reset(environment, {
      confirm: async hosts => {
        const question = `Remove the cluster "${cluster.name}" and all its data from ${hosts.join(', ')}?`;
        await reporter.flush();
        return await confirm(input, question);
      },
    });
    end(0, count);
    reporter.say(count === 0 ? 'nothing to reset' : `reset ${plural(count, 'host')}`);
    return 0;
  } catch (error) {
    end(exitCodeOf(error), 0);
    throw error;
  }
}
