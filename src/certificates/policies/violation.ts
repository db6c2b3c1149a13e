/** What an object is not as it should be: one word of the API, and a sentence for people. */
export interface Violation {
  /** A reason of conditions, e.g. `DoesNotExist`. */
  readonly reason: string;
  readonly message: string;
}
