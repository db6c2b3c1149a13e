/** A validation rule of a CustomResourceDefinition (apiextensions.k8s.io/v1 `ValidationRule`). */
export interface CelRule {
  readonly rule: string;
  readonly message: string;
  readonly fieldPath?: string;
  readonly reason?: 'FieldValueRequired' | 'FieldValueForbidden' | 'FieldValueInvalid';
}

/** A structural schema (apiextensions.k8s.io/v1 `JSONSchemaProps`), as far as our kinds use it. */
export interface JsonSchema {
  readonly description?: string;
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  readonly format?: 'byte' | 'date-time' | 'int32' | 'int64';
  readonly enum?: readonly string[];
  readonly default?: string;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'map' | 'set';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-map-type'?: 'atomic';
  readonly 'x-kubernetes-int-or-string'?: true;
  readonly 'x-kubernetes-preserve-unknown-fields'?: true;
  readonly 'x-kubernetes-validations'?: readonly CelRule[];
}

export const text = {type: 'string'} as const satisfies JsonSchema;
/** Base64 in JSON. */
export const bytes = {type: 'string', format: 'byte'} as const satisfies JsonSchema;
/** RFC 3339. */
export const instant = {type: 'string', format: 'date-time'} as const satisfies JsonSchema;
export const flag = {type: 'boolean'} as const satisfies JsonSchema;
export const integer = {type: 'integer'} as const satisfies JsonSchema;
export const int32 = {type: 'integer', format: 'int32'} as const satisfies JsonSchema;
export const int64 = {type: 'integer', format: 'int64'} as const satisfies JsonSchema;
export const texts = list(text);
export const textMap = mapOf(text);

export function oneOf<const E extends readonly string[]>(...values: E) {
  return {type: 'string', enum: values} as const;
}

/** A list that is replaced as a whole by server-side apply. */
export function list<const S extends JsonSchema>(items: S) {
  return {type: 'array', items, 'x-kubernetes-list-type': 'atomic'} as const;
}

export function mapOf<const S extends JsonSchema>(values: S) {
  return {type: 'object', additionalProperties: values} as const;
}

/** What is required comes from the arguments alone, never from where the schema is used. */
export function object<
  const P extends Readonly<Record<string, JsonSchema>>,
  const R extends keyof P & string = never,
>(properties: P, ...required: readonly R[]): ObjectSchema<P, NoInfer<R>> {
  return {type: 'object', properties, ...(required.length === 0 ? {} : {required})};
}

export interface ObjectSchema<P extends Readonly<Record<string, JsonSchema>>, R extends string> {
  readonly type: 'object';
  readonly properties: P;
  readonly required?: readonly R[];
}

/** The schema of a whole object: what each has, and the `spec` and `status` of its kind. */
export function kindSchema(
  spec: JsonSchema,
  status: JsonSchema,
  ...required: readonly ('metadata' | 'spec')[]
): JsonSchema {
  const metadata = {type: 'object'} as const;
  const schema = object({apiVersion: text, kind: text, metadata, spec, status}, ...required);
  // Not as `required`: the published schemas do not ask for it where their webhook does.
  if (required.includes('spec')) return schema;
  return withRules(schema, {rule: 'has(self.spec)', message: 'spec is missing'});
}

/** The same schema with rules of its own. */
export function withRules<S extends JsonSchema>(schema: S, ...rules: readonly CelRule[]): S {
  return {...schema, 'x-kubernetes-validations': rules};
}
