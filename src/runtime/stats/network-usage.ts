import {readFileSync} from 'node:fs';
import {withNetworkNamespace} from '../sys/namespace.ts';

/** Counters of one network interface since it was made. */
export interface InterfaceUsage {
  readonly name: string;
  readonly rxBytes: bigint;
  readonly rxErrors: bigint;
  readonly txBytes: bigint;
  readonly txErrors: bigint;
}

/**
 * Counters of a pod's interfaces, the loopback left out.
 * @param networkNamespace path of the pinned namespace.
 * @returns undefined when the namespace is gone.
 */
export function readNetworkUsage(networkNamespace: string): readonly InterfaceUsage[] | undefined {
  try {
    return withNetworkNamespace(networkNamespace, () =>
      // The thread's own: /proc/net is the main thread's, wherever this one is.
      parseNetworkUsage(readFileSync('/proc/thread-self/net/dev', 'utf8')),
    );
  } catch {
    return undefined; // the sandbox is being stopped; its counters end with it
  }
}

/** proc(5), /proc/net/dev: two heading lines, then `name: rx… tx…`, eight counters each. */
export function parseNetworkUsage(text: string): readonly InterfaceUsage[] {
  return text.split('\n').flatMap(line => {
    const [name = '', counters = ''] = line.split(':', 2);
    const values = counters.trim().split(/\s+/);
    const [rxBytes, , rxErrors, , , , , , txBytes, , txErrors] = values;
    if (rxBytes === undefined || rxErrors === undefined) return [];
    if (txBytes === undefined || txErrors === undefined || name.trim() === 'lo') return [];
    return [
      {
        name: name.trim(),
        rxBytes: BigInt(rxBytes),
        rxErrors: BigInt(rxErrors),
        txBytes: BigInt(txBytes),
        txErrors: BigInt(txErrors),
      },
    ];
  });
}
