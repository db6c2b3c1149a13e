/**
 * Specifications that the API server and our own validation have to judge alike. The unit test
 * asks the validation, test/integration/certificates/api.test.ts the API server.
 */

export interface Refused<Spec> {
  readonly title: string;
  readonly spec: Spec;
  /** A word that tells where the fault lies: in what the API server answers. */
  readonly says: string;
  /** What CEL cannot tell: the API server takes it, and a condition tells. */
  readonly onlyHere?: true;
  /** What no new object may have, and what does not keep one from before from being renewed. */
  readonly onlyThere?: true;
}

export interface Accepted<Spec> {
  readonly title: string;
  readonly spec: Spec;
}
