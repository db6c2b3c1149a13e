import {run} from '#shared/local-process';
import {messageOf} from '#shared/errors';

export interface ArtifactBuild {
  /** Why there are no artifacts; undefined once they are in the cache. */
  readonly failure: Promise<ArtifactFailure | undefined>;
  /** Ends a build that still runs. */
  readonly stop: () => Promise<void>;
}

export interface ArtifactFailure {
  /** One line. */
  readonly reason: string;
  /** True when it is this machine that lacks something; else it counts as a failed test. */
  readonly isMachine: boolean;
}

/** What the build says on a machine without compilers, or without a way to their packages. */
const MACHINE_CODES = /^ERR_(COMPILER_MISSING|PACKAGES_MISSING|MODULE_UNAVAILABLE|ARTIFACT_ARCH)/;

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

async function build(signal: AbortSignal): Promise<ArtifactFailure | undefined> {
  const startedMs = performance.now();
  try {
    // nice: tests that run meanwhile have the processors first.
    const argv = ['nice', '-n', '10', PROVISION, 'artifacts'];
    const {exitCode, stderr} = await run(argv, {
      signal,
      onLine: line => {
        if (/: (making|made|FAILED)/.test(line)) console.log(`artifacts: ${line.trim()}`);
      },
    });
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    if (exitCode === 0) {
      console.log(`artifacts: all in the cache after ${seconds} s`);
      return undefined;
    }
    const said = stderr.split('\n').find(line => line.startsWith('ERR_')) ?? `exit ${exitCode}`;
    const isMachine = MACHINE_CODES.test(said);
    return {reason: `artifacts cannot be made: ${said}`, isMachine};
  } catch (error) {
    return {reason: `artifacts were not made: ${messageOf(error)}`, isMachine: false};
  }
}
