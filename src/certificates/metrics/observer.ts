import type {Certificate} from '../apis/certificate.ts';
import type {Item} from '../controllers/views.ts';
import type {ViewChange} from '../kube/view.ts';
import type {WorkResult} from '../kube/work-queue.ts';

/** What a running controller tells, so that it can be counted. Never throws. */
export interface ControllerObserver {
  /** A reconciliation has ended. `queue` is its kind, e.g. `certificateRequests`. */
  outcome(queue: string, result: WorkResult): void;
  certificateChanged(change: ViewChange<Item<Certificate>>): void;
}
