import {usage} from './arguments.ts';
import type {CommandContext} from './context.ts';
import {findById} from './find.ts';
import {queryLimits, workLimits} from './limits.ts';

/** Runs a command in a container, without a terminal; the exit code is the command's. */
export async function execCommand(context: CommandContext): Promise<number> {
  const {client, words, options, output} = context;
  const [id, ...cmd] = words;
  if (id === undefined || cmd.length === 0) {
    throw usage(
      'exec takes an id and a command',
      'for example: slipway-cri exec 4f1c cat /etc/hosts',
    );
  }
  const found = await findById(client, id, queryLimits(context));
  if (found.kind === 'pod')
    throw usage(`${id} is a pod`, 'name one of its containers: slipway-cri ps');
  const {stdout, stderr, exitCode} = await client.runtime.execSync(
    {containerId: found.id, cmd, timeout: BigInt((options.timeoutMs ?? 0) / 1000)},
    workLimits({...context, options: {...options, timeoutMs: undefined}}),
  );
  output.write(stdout);
  output.writeError(stderr);
  return exitCode;
}
