import type {ArtifactResource} from '../role/resource.ts';
import {quote} from '#shared/quote';
import type {ResourceKind} from './kind.ts';
import {compareMode} from './mode.ts';

/** Exit code of a push whose bytes are not those of the lock file. */
export const CHECKSUM_EXIT_CODE = 65;

export const artifactKind: ResourceKind<ArtifactResource> = {
  digest: artifact => artifact.sha256,

  diff(artifact, {probe, state}) {
    const id = `artifact:${artifact.path}`;
    const found = probe.paths.get(artifact.path);
    const what = `${artifact.artifact} ${artifact.version}`;
    if (found === undefined) return {id, action: 'create', summary: what};
    // No hash: size, inode and ctime are those of the last verification (see probe.ts).
    const sha256 = probe.sha256.get(artifact.path) ?? state.resources[id]?.digest;
    if (!found.type.startsWith('regular') || sha256 !== artifact.sha256) {
      return {id, action: 'update', summary: what};
    }
    return compareMode(id, artifact.mode, found);
  },

  /** Reads the program from standard input: exactly `sizeBytes`. */
  apply(artifact) {
    const [path, part] = [quote([artifact.path]), quote([`${artifact.path}.slipway`])];
    return [
      `mkdir -p "$(dirname ${path})"`,
      `trap 'rm -f ${part}' EXIT`,
      `head -c ${artifact.sizeBytes} > ${part}`,
      `sum=$(sha256sum < ${part})`,
      `[ "\${sum%% *}" = ${artifact.sha256} ] || exit ${CHECKSUM_EXIT_CODE}`,
      `chmod ${artifact.mode.toString(8)} ${part}`,
      `chown 0:0 ${part}`,
      `mv -fT ${part} ${path}`,
    ].join('\n');
  },

  remove: path => `rm -f -- ${quote([path, `${path}.slipway`])}`,
};
