import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {type Digest, digestOfBytes} from '#shared/oci/digest';

export interface RegistryDoubleOptions {
  /** Asks for credentials `user` / `secret`. */
  readonly authentication?: 'basic' | 'bearer';
  /** Answers a request by itself when it returns a status. */
  readonly intercept?: (request: IncomingMessage) => number | undefined;
  /** Answers a GET of a blob by itself when it returns true. */
  readonly serveBlob?: (
    request: IncomingMessage,
    response: ServerResponse,
    blob: Buffer,
  ) => boolean;
  /** Answers Range requests with everything, as the specification allows. */
  readonly withoutRanges?: boolean;
  /** Takes requests and never answers. */
  readonly isSilent?: boolean;
  /** Sends other manifests than it was given. */
  readonly isLying?: boolean;
  /** Sends manifests with five million spaces behind them. */
  readonly isBloating?: boolean;
  /** Where bearer tokens are; default: here. */
  readonly tokenUrl?: string;
  /** Answers HEAD of manifests without a Docker-Content-Digest header, which the spec allows. */
  readonly withoutDigestHeader?: boolean;
}

export interface RegistryDouble extends AsyncDisposable {
  readonly url: string;
  /** `METHOD path` of every request, in order. */
  readonly requests: readonly string[];
  /** By repository and digest; a test may put others there. */
  readonly blobs: Map<string, Buffer>;
}

interface Stored {
  readonly mediaType: string;
  readonly content: Buffer;
}

type Answer = (status: number, headers?: Record<string, string>, content?: Buffer) => void;

/** The token that the double gives and takes. */
export const TOKEN = 'token-of-the-double';
/** Buys a token (OAuth 2 refresh token). */
export const IDENTITY_TOKEN = 'identity-of-the-double';
const BASIC = `Basic ${Buffer.from('user:secret').toString('base64')}`;

/** An OCI registry in memory on loopback: the part of the distribution API that our client uses. */
export async function startRegistryDouble(
  options: RegistryDoubleOptions = {},
): Promise<RegistryDouble> {
  const requests: string[] = [];
  const blobs = new Map<string, Buffer>();
  const manifestsByName = new Map<string, Stored>();
  const uploads = new Map<string, string>();
  let uploadCount = 0;

  const server = createServer((request, response) => {
    response.on('error', () => undefined); // a client that went away
    handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const {port} = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const {method = '', url: target = ''} = request;
    requests.push(`${method} ${target}`);
    if (options.isSilent) return;
    const body = await readBody(request);
    const {pathname, searchParams} = new URL(target, url);
    const answer: Answer = (status, headers = {}, content) => {
      response.writeHead(status, headers).end(method === 'HEAD' ? undefined : content);
    };
    const intercepted = options.intercept?.(request);
    if (intercepted !== undefined) {
      answer(intercepted, {}, Buffer.from('{"errors":[{"code":"DENIED"}]}'));
      return;
    }
    if (pathname === '/token') {
      const isRefresh =
        new URLSearchParams(body.toString()).get('refresh_token') === IDENTITY_TOKEN;
      const isKnown = request.headers.authorization === BASIC || isRefresh;
      answer(isKnown ? 200 : 401, {}, Buffer.from(JSON.stringify({token: TOKEN})));
      return;
    }
    const challenge = challengeFor(request);
    if (challenge !== undefined) {
      answer(401, {'www-authenticate': challenge});
      return;
    }
    const [, repository = '', kind = '', name = ''] =
      /^\/v2\/(.+)\/(manifests|blobs\/uploads|blobs)\/(.*)$/.exec(pathname) ?? [];
    const key = `${repository}/${name}`;
    const route = `${method} ${kind}`;
    if (route === 'HEAD manifests' || route === 'GET manifests') {
      const found = manifestsByName.get(key);
      if (found === undefined) {
        answer(404);
        return;
      }
      const digest = {'docker-content-digest': digestOfBytes(found.content)};
      const headers = options.withoutDigestHeader ? {} : digest;
      const paddingBytes = options.isBloating ? 5_000_000 : options.isLying ? 1 : 0;
      const content = Buffer.concat([found.content, Buffer.alloc(paddingBytes, ' ')]);
      answer(200, {'content-type': found.mediaType, ...headers}, content);
    } else if (route === 'PUT manifests') {
      if (!refersToKnown(repository, body)) {
        answer(404);
        return;
      }
      const stored = {mediaType: request.headers['content-type'] ?? '', content: body};
      manifestsByName.set(key, stored);
      manifestsByName.set(`${repository}/${digestOfBytes(body)}`, stored);
      answer(201);
    } else if (route === 'HEAD blobs') {
      answer(blobs.has(key) ? 200 : 404);
    } else if (route === 'GET blobs') {
      const blob = blobs.get(key);
      if (blob === undefined) answer(404);
      else if (options.serveBlob?.(request, response, blob) !== true)
        sendBlob(request, answer, blob);
    } else if (route === 'POST blobs/uploads') {
      uploadCount += 1;
      uploads.set(String(uploadCount), repository);
      answer(202, {location: `/v2/${repository}/blobs/uploads/${uploadCount}?state=opaque`});
    } else if (route === 'PUT blobs/uploads') {
      const digest = searchParams.get('digest') ?? '';
      const isOpen = uploads.get(name) === repository && searchParams.get('state') === 'opaque';
      if (!isOpen) {
        answer(404);
        return;
      }
      if (digest !== digestOfBytes(body)) {
        answer(400);
        return;
      }
      uploads.delete(name);
      blobs.set(`${repository}/${digest}`, body);
      answer(201);
    } else answer(404);
  }

  function sendBlob({headers: {range}}: IncomingMessage, answer: Answer, blob: Buffer): void {
    const start = Number(/^bytes=([0-9]+)-$/.exec(range ?? '')?.[1] ?? 0);
    if (range === undefined || options.withoutRanges) {
      answer(200, {'content-length': String(blob.length)}, blob);
      return;
    }
    const headers = {
      'content-length': String(blob.length - start),
      'content-range': `bytes ${start}-${blob.length - 1}/${blob.length}`,
    };
    answer(206, headers, blob.subarray(start));
  }

  /** A registry refuses a manifest whose parts it does not have. */
  function refersToKnown(repository: string, body: Buffer): boolean {
    const {config, layers, manifests} = JSON.parse(body.toString()) as {
      readonly config?: {readonly digest: Digest};
      readonly layers?: readonly {readonly digest: Digest}[];
      readonly manifests?: readonly {readonly digest: Digest}[];
    };
    const parts = config === undefined ? [] : [config, ...(layers ?? [])];
    return (
      parts.every(({digest}) => blobs.has(`${repository}/${digest}`)) &&
      (manifests ?? []).every(({digest}) => manifestsByName.has(`${repository}/${digest}`))
    );
  }

  function challengeFor({headers: {authorization}}: IncomingMessage): string | undefined {
    if (options.authentication === 'basic' && authorization !== BASIC)
      return 'Basic realm="double"';
    if (options.authentication === 'bearer' && authorization !== `Bearer ${TOKEN}`) {
      return `Bearer realm="${options.tokenUrl ?? `${url}/token`}",service="double"`;
    }
    return undefined;
  }

  return {
    url,
    requests,
    blobs,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    },
  };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
