import {run} from '#shared/local-process';
import {messageOf} from '#shared/errors';

export interface ArtifactBuild {
  /** Why there are no artifacts, in one line; undefined once they are in the cache. */
  readonly failure: Promise<string | undefined>;
  /** Ends a build that still runs. */
  readonly stop: () => Promise<void>;
}

const PROVISION = new URL('../../../bin/provision', import.meta.url).pathname;

/** Makes the artifacts through the product, in the background and behind the tests that run. */
export function startArtifacts(signal: AbortSignal): ArtifactBuild {
  const stopping = new AbortController();
  const failure = build(AbortSignal.any([signal, stopping.signal]));
  return {
    failure,
    async stop() {
      stopping.abort(new Error('the tests have ended'));
      await failure;
    },
  };
}

async function build(signal: AbortSignal): Promise<string | undefined> {
  const startedMs = performance.now();
  try {
    // nice: tests of the levels before have the processors first.
    const argv = ['nice', '-n', '10', PROVISION, 'artifacts'];
    const {exitCode, stderr} = await run(argv, {
      signal,
      onLine: line => {
        if (/: (building|done|failed)/.test(line)) console.log(`artifacts: ${line.trim()}`);
      },
    });
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    if (exitCode === 0) {
      console.log(`artifacts: all in the cache after ${seconds} s`);
      return undefined;
    }
    const said = stderr.split('\n').find(line => line.startsWith('ERR_')) ?? `exit ${exitCode}`;
    return `artifacts cannot be made: ${said}`;
  } catch (error) {
    return `artifacts were not made: ${messageOf(error)}`;
  }
}
