import {request} from 'node:http';
import {Duplex} from 'node:stream';
import {
  controlFrame,
  dataHeader,
  FLAG_FIN,
  FrameReader,
  frameTypes,
  words,
} from '#runtime/streaming/spdy-frames';
import {HeaderReader, HeaderWriter} from '#runtime/streaming/spdy-headers';

export interface ClientStream {
  readonly id: number;
  /** Everything that the server wrote, once it has ended its half. */
  readonly received: Promise<Buffer>;
  /** What has come so far. */
  readonly soFar: () => Buffer;
  readonly write: (bytes: Uint8Array | string) => boolean;
  readonly end: () => void;
}

export interface SpdyClient {
  readonly protocol: string | undefined;
  readonly socket: Duplex;
  readonly open: (headers: Readonly<Record<string, string>>) => ClientStream;
  /** Status of every RST_STREAM, by stream. */
  readonly resets: ReadonlyMap<number, number>;
  readonly goneAway: Promise<void>;
  readonly close: () => void;
}

/** Asks for an upgrade; the status and text of a refusal, or the client of the connection. */
export async function connectSpdy(
  url: string,
  protocols: readonly string[],
  upgrade = 'SPDY/3.1',
): Promise<SpdyClient | {readonly status: number; readonly text: string}> {
  const outgoing = request(url, {
    method: 'POST',
    headers: {
      connection: 'Upgrade',
      upgrade,
      ...(protocols.length > 0 && {'x-stream-protocol-version': [...protocols]}),
    },
  });
  outgoing.end();
  return await new Promise((resolve, reject) => {
    outgoing.on('error', reject);
    outgoing.on('response', response => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => {
        resolve({status: response.statusCode ?? 0, text});
      });
    });
    outgoing.on('upgrade', (response, socket, head) => {
      if (head.length > 0) socket.unshift(head);
      const protocol = response.headers['x-stream-protocol-version'];
      resolve(new Client(socket, protocol?.toString()));
    });
  });
}

class Client implements SpdyClient {
  readonly protocol: string | undefined;
  readonly socket: Duplex;
  readonly resets = new Map<number, number>();
  readonly goneAway: Promise<void>;
  readonly #writer = new HeaderWriter();
  readonly #reader = new HeaderReader();
  readonly #frames = new FrameReader();
  readonly #streams = new Map<number, {chunks: Buffer[]; done: (all: Buffer) => void}>();
  readonly #goneAway = Promise.withResolvers<undefined>();
  #nextId = 1;

  constructor(socket: Duplex, protocol: string | undefined) {
    this.socket = socket;
    this.protocol = protocol;
    this.goneAway = this.#goneAway.promise;
    socket.on('data', (chunk: Buffer) => {
      for (const frame of this.#frames.push(chunk)) {
        if (frame.kind === 'data') {
          const stream = this.#streams.get(frame.streamId);
          stream?.chunks.push(Buffer.from(frame.body));
          if ((frame.flags & FLAG_FIN) !== 0) stream?.done(Buffer.concat(stream.chunks));
        } else if (frame.type === frameTypes.SYN_REPLY) {
          this.#reader.read(frame.body.subarray(4));
        } else if (frame.type === frameTypes.RST_STREAM) {
          this.resets.set(frame.body.readUInt32BE(0), frame.body.readUInt32BE(4));
        } else if (frame.type === frameTypes.GOAWAY) {
          this.#goneAway.resolve(undefined);
        }
      }
    });
  }

  open(headers: Readonly<Record<string, string>>): ClientStream {
    const id = this.#nextId;
    this.#nextId += 2;
    const {promise, resolve} = Promise.withResolvers<Buffer>();
    const chunks: Buffer[] = [];
    this.#streams.set(id, {chunks, done: resolve});
    const block = this.#writer.write(new Map(Object.entries(headers)));
    const head = Buffer.concat([words(id, 0), Buffer.from([0, 0])]);
    this.socket.write(controlFrame(frameTypes.SYN_STREAM, Buffer.concat([head, block])));
    return {
      id,
      received: promise,
      soFar: () => Buffer.concat(chunks),
      write: bytes => {
        const data = Buffer.from(bytes);
        this.socket.write(dataHeader(id, data.length, 0));
        return this.socket.write(data);
      },
      end: () => this.socket.write(dataHeader(id, 0, FLAG_FIN)),
    };
  }

  close(): void {
    this.socket.destroy();
  }
}

/** The client, where the upgrade must not be refused. */
export async function mustConnectSpdy(
  url: string,
  protocols: readonly string[],
): Promise<SpdyClient> {
  const client = await connectSpdy(url, protocols);
  if ('status' in client) throw new Error(`refused with ${client.status}: ${client.text}`);
  return client;
}
