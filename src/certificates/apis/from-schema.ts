/**
 * The type of the values that a schema describes. Objects and lists are readonly; what is not
 * required is optional; what the schema leaves open is `unknown`.
 */
export type FromSchema<S> = S extends {readonly enum: readonly (infer E)[]}
  ? E
  : S extends {readonly 'x-kubernetes-int-or-string': true}
    ? number | string
    : S extends {readonly type: 'string'}
      ? string
      : S extends {readonly type: 'integer'}
        ? number
        : S extends {readonly type: 'boolean'}
          ? boolean
          : S extends {readonly type: 'array'; readonly items: infer I}
            ? readonly FromSchema<I>[]
            : S extends {readonly type: 'object'; readonly additionalProperties: infer V}
              ? Readonly<Record<string, FromSchema<V>>>
              : S extends {readonly type: 'object'; readonly properties: infer P}
                ? FromProperties<P, RequiredOf<S>>
                : unknown;

type RequiredOf<S> = S extends {readonly required?: readonly (infer R)[]} ? R : never;

type FromProperties<P, R> = Flat<
  {readonly [K in keyof P as K extends R ? K : never]: FromSchema<P[K]>} & {
    readonly [K in keyof P as K extends R ? never : K]?: FromSchema<P[K]>;
  }
>;

/** One object type instead of an intersection, so that messages of the compiler stay readable. */
type Flat<T> = {[K in keyof T]: T[K]};
