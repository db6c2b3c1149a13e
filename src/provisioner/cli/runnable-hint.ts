import {quote} from '#shared/quote';
import {CLUSTER_FILE} from './arguments.ts';

/** A command of ours in quotation marks, as hints name it; `cluster.yaml` stands for any file. */
const COMMAND = /"provision(?: (?!help)[^"]*)?"/g;

/**
 * A hint whose commands can be run as they are: with the cluster file that the failed command was
 * given. Without one, commands take the lab's.
 */
export function runnableHint(hint: string, clusterFile: string | undefined): string {
  if (clusterFile === undefined) return hint;
  const file = quote([clusterFile]);
  return hint.replaceAll(COMMAND, command => {
    const words = command.slice(1, -1).split(' ');
    // These know a cluster file by its name alone.
    if (!CLUSTER_FILE.test(clusterFile) && /^(kubectl|issuers|certs)$/.test(words[1] ?? '')) {
      return command;
    }
    if (words.includes('cluster.yaml')) {
      return `"${words.map(word => (word === 'cluster.yaml' ? file : word)).join(' ')}"`;
    }
    // kubectl's own words follow the file; all other commands take it anywhere.
    const at = words[1] === 'kubectl' ? 2 : words.length;
    return `"${[...words.slice(0, at), file, ...words.slice(at)].join(' ')}"`;
  });
}
