import {signerIssuer} from './signing-requests/signing-request-object.ts';
import type {SecretFacts} from './certificates/secret-facts.ts';
import type {ViewChange} from '../kube/view.ts';
import type {AddOptions} from '../kube/work-queue.ts';
import {controllerOf, type SecretMetadata, type ViewListeners, type Views} from './views.ts';

/** Adds keys of views to the queues of their kinds. */
export interface Queues {
  readonly certificates: Enqueue;
  readonly certificateRequests: Enqueue;
  readonly issuers: Enqueue;
  readonly clusterIssuers: Enqueue;
  readonly signingRequests: Enqueue;
}

type Enqueue = (key: string, options?: AddOptions) => void;

/**
 * Which objects are looked at again after a change of another: one table of everything that one
 * object reads of others. A queue takes a key twice as well as once.
 */
export function triggers(views: () => Views, queues: Queues): ViewListeners {
  return {
    certificates: ({key, before, after}) => {
      queues.certificates(key);
      // Those that name the same Secret: who owns it may have changed.
      for (const item of [before, after]) {
        if (item === undefined) continue;
        const secret = `${item.object.metadata.namespace ?? ''}/${item.object.spec.secretName}`;
        enqueueAll(views().certificates.byIndex('secret', secret), queues.certificates);
      }
    },
    certificateRequests: ({key, before, after}) => {
      queues.certificateRequests(key);
      const {metadata} = (after ?? before)?.object ?? {};
      const owner = controllerOf(metadata?.['ownerReferences']);
      if (owner?.kind === 'Certificate') {
        // Its issuance is under way: it is finished before others are begun.
        queues.certificates(`${metadata?.namespace ?? ''}/${owner.name}`, {ahead: true});
      }
    },
    issuers: change => {
      queues.issuers(change.key);
      enqueueUsers(views(), `Issuer/${change.key}`, queues);
    },
    clusterIssuers: change => {
      queues.clusterIssuers(change.key);
      enqueueUsers(views(), `ClusterIssuer/${change.key}`, queues);
    },
    secrets: change => {
      enqueueOwner(change, queues);
      enqueueReaders(views(), change.key, queues);
    },
    otherSecrets: (change: ViewChange<SecretMetadata>) => {
      enqueueReaders(views(), change.key, queues);
    },
    signingRequests: ({key, after}) => {
      if (after !== undefined && signerIssuer(after.object.spec.signerName) !== undefined) {
        queues.signingRequests(key);
      }
    },
  };
}

/** A temporary key belongs to a Certificate. */
function enqueueOwner({key, before, after}: ViewChange<SecretFacts>, queues: Queues): void {
  const owner = controllerOf((after ?? before)?.ownerReferences);
  if (owner?.kind !== 'Certificate') return;
  queues.certificates(`${key.slice(0, key.indexOf('/'))}/${owner.name}`);
}

function enqueueReaders(views: Views, secret: string, queues: Queues): void {
  enqueueAll(views.certificates.byIndex('secret', secret), queues.certificates);
  enqueueAll(views.certificates.byIndex('password-secret', secret), queues.certificates);
  enqueueAll(
    views.certificateRequests.byIndex('private-key-secret', secret),
    queues.certificateRequests,
  );
  enqueueAll(views.issuers.byIndex('secret', secret), queues.issuers);
  enqueueAll(views.clusterIssuers.byIndex('secret', secret), queues.clusterIssuers);
  enqueueAll(views.signingRequests.byIndex('private-key-secret', secret), queues.signingRequests);
}

function enqueueUsers(views: Views, issuer: string, queues: Queues): void {
  enqueueAll(views.certificateRequests.byIndex('issuer', issuer), queues.certificateRequests);
  enqueueAll(views.signingRequests.byIndex('issuer', issuer), queues.signingRequests);
}

function enqueueAll(items: readonly {readonly key: string}[], enqueue: Enqueue): void {
  for (const {key} of items) enqueue(key);
}
