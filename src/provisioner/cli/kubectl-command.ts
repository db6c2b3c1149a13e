import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {runAttached} from '#shared/local-process';
import {useKubeconfig} from '../actions/kubeconfig.ts';
import {openStore} from '../main.ts';
import {type CommandInput, openContext} from './context.ts';

/** `provision kubectl …`: the cluster's own kubectl version with the administrator's kubeconfig. */
export async function kubectlCommand(input: CommandInput): Promise<number> {
  await using context = await openContext(input, {quiet: true});
  const {environment} = context;
  const {cluster, signal} = environment;
  const store = await openStore(cluster, {
    signal,
    onProgress: event => {
      if (event.state !== 'cached') input.output.writeError(`${event.component}: ${event.state}\n`);
    },
  });
  const program = store.artifact('kubectl');
  program.catch(() => undefined); // told below, once the cluster was asked
  return await useKubeconfig(environment, async config => {
    const {path} = await program;
    const directory = await mkdtemp(join(tmpdir(), 'provision-kubectl-')); // mode 0700
    try {
      const file = join(directory, 'kubeconfig');
      await writeFile(file, config, {mode: 0o600});
      return await runAttached([path, ...input.args.rest], {signal, env: {KUBECONFIG: file}});
    } finally {
      await rm(directory, {recursive: true, force: true});
    }
  });
}
