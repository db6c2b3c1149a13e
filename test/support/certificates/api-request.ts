/** What a request asks of the API, in the words of RBAC. */
export interface ApiRequest {
  readonly verb:
    | 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'apply' | 'delete' | 'other'; // prettier-ignore
  readonly group: string; // '' is the core group
  /** Plural, with the subresource after a slash: `certificates/status`. */
  readonly resource: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly path: string;
  readonly userAgent: string;
}

/** Whether a request changes something. */
export function isWrite({verb}: ApiRequest): boolean {
  return ['create', 'update', 'patch', 'apply', 'delete'].includes(verb);
}

/** Reads method, path and content type of a request to the API. */
export function describeRequest(
  method: string,
  url: string,
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): ApiRequest {
  const {pathname, searchParams} = new URL(url, 'https://api');
  const [, root, ...rest] = pathname.split('/').map(decodeURIComponent);
  const group = root === 'apis' ? (rest[0] ?? '') : '';
  const below = rest.slice(root === 'apis' ? 2 : 1);
  const inNamespace = below[0] === 'namespaces' && below.length > 2;
  const [plural = '', name, subresource] = inNamespace ? below.slice(2) : below;
  const namespace = inNamespace ? below[1] : undefined;
  return {
    verb: verbOf(method, {
      named: name !== undefined,
      watch: searchParams.get('watch') === 'true',
      apply: String(headers['content-type']).includes('apply-patch'),
      known: root === 'api' || root === 'apis',
    }),
    group,
    resource: subresource === undefined ? plural : `${plural}/${subresource}`,
    ...(namespace === undefined ? {} : {namespace}),
    ...(name === undefined ? {} : {name}),
    path: url,
    userAgent: String(headers['user-agent'] ?? ''),
  };
}

interface Facts {
  readonly named: boolean;
  readonly watch: boolean;
  readonly apply: boolean;
  readonly known: boolean;
}

function verbOf(method: string, {named, watch, apply, known}: Facts): ApiRequest['verb'] {
  if (!known) return 'other';
  switch (method) {
    case 'GET':
      if (watch) return 'watch';
      return named ? 'get' : 'list';
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return apply ? 'apply' : 'patch';
    case 'DELETE':
      return 'delete';
    default:
      return 'other';
  }
}
