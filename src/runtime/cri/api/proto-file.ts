/**
 * A gRPC API in our own compact form (`*.json` beside this file).
 *
 * - services: RPC → `Request -> Response`, `stream` before a side that streams
 * - messages: field → `[repeated] TYPE NUMBER [deprecated] [redacted]`
 * - enums: value → number; `Message.Enum` is nested in that message
 */
export interface ApiDescription {
  readonly package: string;
  readonly services: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly messages: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly enums: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** The API as a proto3 file, the form that code generators read. */
export function formatProtoFile(api: ApiDescription): string {
  const enums = Object.entries(api.enums);
  return [
    'syntax = "proto3";',
    `package ${api.package};`,
    ...Object.entries(api.services).map(([name, rpcs]) => formatService(name, rpcs)),
    ...Object.entries(api.messages).map(([name, fields]) => {
      const nested = enums
        .filter(([path]) => path.startsWith(`${name}.`))
        .map(([path, values]) => formatEnum(path.slice(name.length + 1), values));
      return block(`message ${name}`, [...nested, ...Object.entries(fields).map(formatField)]);
    }),
    ...enums
      .filter(([path]) => !path.includes('.'))
      .map(([name, values]) => formatEnum(name, values)),
    '',
  ].join('\n');
}

function formatService(name: string, rpcs: Readonly<Record<string, string>>): string {
  const lines = Object.entries(rpcs).map(([rpc, signature]) => {
    const [request = '', response = ''] = signature.split(' -> ');
    return `rpc ${rpc}(${request}) returns (${response});`;
  });
  return block(`service ${name}`, lines);
}

const FIELD = /^(?<type>.+) (?<number>\d+)(?<deprecated> deprecated)?(?<redacted> redacted)?$/;

function formatField([name, text]: readonly [string, string]): string {
  const {type, number, deprecated, redacted} = FIELD.exec(text)?.groups ?? {};
  if (type === undefined || number === undefined) throw new TypeError(`field ${name}: ${text}`);
  const options = [
    ...(deprecated === undefined ? [] : ['deprecated = true']),
    ...(redacted === undefined ? [] : ['debug_redact = true']),
  ];
  return `${type} ${name} = ${number}${options.length === 0 ? '' : ` [${options.join(', ')}]`};`;
}

function formatEnum(name: string, values: Readonly<Record<string, number>>): string {
  return block(
    `enum ${name}`,
    Object.entries(values).map(([value, number]) => `${value} = ${number};`),
  );
}

function block(head: string, lines: readonly string[]): string {
  return [`${head} {`, ...lines, '}'].join('\n');
}
