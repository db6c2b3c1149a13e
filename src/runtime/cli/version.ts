import {VERSION} from '../version.ts';

/** Also proves that this Node and the native part work here: system calls are loaded for it. */
export async function formatVersion(): Promise<string> {
  const {processStartTime} = await import('../sys/processes.ts');
  if (processStartTime(process.pid) === undefined)
    throw new Error('/proc does not know this process');
  return `slipway-cri ${VERSION}, CRI v1, Node ${process.versions.node} ${process.arch}\n`;
}
