import {CodedError} from '#shared/errors';
import {certificateReasons} from '../../apis/names.ts';
import type {CertificatesErrorCode} from '../../errors.ts';
import type {Outcome} from '../../kube/work-queue.ts';
import type {ReconcilerDependencies} from '../dependencies.ts';
import {createActor} from './act.ts';
import {decide} from './decide.ts';
import {createPace} from './pace.ts';
import {gatherState} from './state.ts';
import type {Step} from './step.ts';

/** A tool that fights over a Secret is answered so often, and then more slowly. */
const REPAIRS = {times: 5, windowMs: 60_000};
/** Issuing costs more, and leaves traces in the logs of CAs. */
const ISSUANCES = {times: 10, windowMs: 10 * 60_000};
/** The longest way from nothing to Ready has seven steps; more of them mean that nothing settles. */
const STEPS_MAX = 30;

/**
 * Brings a Certificate to where it should be: reads its state, decides, takes one step, and again,
 * until there is nothing left to do or somebody else's turn. Own writes are in the views at once,
 * so an issuance is walked through in one go.
 *
 * @throws whatever the API refuses, for the queue to try again; CodedError ERR_NOT_SETTLED
 */
export function createCertificateReconciler(
  dependencies: ReconcilerDependencies,
): (key: string, waiting: {readonly signal: AbortSignal}) => Promise<Outcome> {
  const {clock, settings} = dependencies;
  const actor = createActor(dependencies);
  const repairs = createPace({clock, ...REPAIRS});
  const issuances = createPace({clock, ...ISSUANCES});
  return async (key, waiting) => {
    const taken: string[] = [];
    while (taken.length < STEPS_MAX) {
      const found = await gatherState(key, dependencies, waiting);
      if (found === undefined) return undefined;
      // A changed specification has a count of its own.
      const counted = `${key}#${found.certificate.metadata.generation ?? 0}`;
      const held = {issuing: issuances.heldUntil(counted), repair: repairs.heldUntil(counted)};
      const state = {...found, held};
      const step = decide(state, clock.now(), settings);
      switch (step.kind) {
        case 'idle':
          return undefined;
        case 'wait':
          return step.until === undefined ? undefined : {requeueAt: step.until};
        default:
          taken.push(step.kind);
          await actor.act(state, step, waiting);
          if (isUnplanned(step)) issuances.note(counted);
          if (step.kind === 'repair-secret') repairs.note(counted);
      }
    }
    throw new CodedError<CertificatesErrorCode>(
      'ERR_NOT_SETTLED',
      `Certificate ${key} does not settle: its last steps were ${taken.slice(-5).join(', ')}`,
      {hint: 'look for somebody else who changes this Certificate or its Secret all the time'},
    );
  };
}

/** Renewals on time do not count. */
function isUnplanned(step: Step): boolean {
  return step.kind === 'begin-issuing' && step.violation.reason !== certificateReasons.renewing;
}
