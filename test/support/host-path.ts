import {join} from 'node:path';
import {hasCommand} from '#shared/local-process';

/**
 * A host's PATH, not npm's, which has the programs of our packages first. One of them is called
 * `nft`, and has nothing to do with the packet filter.
 */
export const HOST_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Where the machine itself has a program. */
export function hostProgram(name: string): string | undefined {
  return HOST_PATH.split(':')
    .map(folder => join(folder, name))
    .find(hasCommand);
}
