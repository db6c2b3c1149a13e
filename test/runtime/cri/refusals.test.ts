import {once} from 'node:events';
import {connect as connectHttp2, constants, type IncomingHttpHeaders} from 'node:http2';
import {connect} from 'node:net';
import test, {type ExecutionContext} from 'ava';
import {serveCri} from '#test/cri-service';

const VERSION_PATH = '/runtime.v1.RuntimeService/Version';

interface RawAnswer {
  readonly headers: IncomingHttpHeaders;
  /** gRPC's status, from the trailers or from the headers of an answer without a message. */
  readonly status: string | undefined;
  readonly message: string;
}

/** One request as bytes, past every client library. */
async function raw(
  t: ExecutionContext,
  socket: string,
  {
    path = VERSION_PATH,
    headers = {},
    body = frame(''),
  }: {
    readonly path?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: Buffer;
  },
): Promise<RawAnswer> {
  const session = connectHttp2('http://localhost', {createConnection: () => connect(socket)});
  t.teardown(() => {
    session.destroy();
  });
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  let all: IncomingHttpHeaders = {};
  for (const name of ['response', 'trailers'] as const) {
    stream.on(name, (given: IncomingHttpHeaders) => {
      all = {...all, ...given};
    });
  }
  stream.end(body);
  stream.resume();
  await once(stream, 'close');
  const status = all['grpc-status'];
  const message = decodeURIComponent(String(all['grpc-message'] ?? ''));
  return {headers: all, status: status === undefined ? undefined : String(status), message};
}

/** gRPC's frame around a message: not compressed, length. */
function frame(hex: string): Buffer {
  const message = Buffer.from(hex, 'hex');
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

const version = {runtime: {version: () => Promise.resolve({runtimeName: 'slipway'})}};

test('a request that is no message is INVALID_ARGUMENT', async t => {
  const {socket} = await serveCri(t, version);
  const cut = await raw(t, socket, {body: frame('0aff01')}); // a text of 255 bytes that are not there
  t.is(cut.status, '3');
  t.true(cut.message.startsWith('ERR_REQUEST_INVALID: Version: '));
  const fieldZero = await raw(t, socket, {body: frame('00')});
  t.is(fieldZero.status, '3');
});

test('fields of a newer API are no mistake', async t => {
  const {socket} = await serveCri(t, version);
  t.is((await raw(t, socket, {body: frame('fa3f0161')})).status, '0'); // field 1023, one byte
});

test('unknown RPCs and services are UNIMPLEMENTED', async t => {
  const {socket} = await serveCri(t, version);
  for (const path of ['/runtime.v1.RuntimeService/Nothing', '/runtime.v1alpha2.X/Version', '/']) {
    t.is((await raw(t, socket, {path})).status, '12', path);
  }
});

test('a request without a message is refused', async t => {
  const {socket} = await serveCri(t, version);
  t.is((await raw(t, socket, {body: Buffer.alloc(0)})).status, '12');
});

test('what is no gRPC is refused by HTTP', async t => {
  const {socket} = await serveCri(t, version);
  const {headers} = await raw(t, socket, {headers: {'content-type': 'application/json'}});
  t.is(String(headers[':status']), '415');
});

test('a message that claims a huge size is refused', async t => {
  const {socket} = await serveCri(t, version);
  const body = Buffer.from('00ffffffff0a', 'hex');
  t.is((await raw(t, socket, {body})).status, '8');
});

test('noise on the socket harms nobody else', async t => {
  const {socket, client} = await serveCri(t, version);
  for (const noise of [
    'GET / HTTP/1.1\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff',
    '\0',
  ]) {
    const connection = connect(socket);
    connection.on('error', () => undefined);
    connection.end(Buffer.from(noise, 'latin1'));
    connection.resume();
    await once(connection, 'close');
  }
  const hanging = connect(socket);
  t.teardown(() => hanging.destroy());
  t.is((await client.runtime.version({})).runtimeName, 'slipway');
});
