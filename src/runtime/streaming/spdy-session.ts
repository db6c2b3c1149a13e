import {Duplex} from 'node:stream';
import {messageOf} from '#shared/errors';
import {
  controlFrame,
  dataHeader,
  FLAG_FIN,
  FrameReader,
  frameTypes,
  resetStatus,
  type SpdyFrame,
  streamIdOf,
  words,
} from './spdy-frames.ts';
import {HeaderReader, type SpdyHeaders, HeaderWriter} from './spdy-headers.ts';

export interface SpdySessionOptions {
  /** A stream that the client opened; it has been accepted. */
  readonly onStream: (stream: SpdyStream) => void;
  /** The connection has gone, or the client broke the protocol. */
  readonly onClose: (reason: string) => void;
}

const STREAMS_MAX = 1000;
const DATA_BYTES_MAX = 64 * 1024;
const BUFFER_BYTES = 256 * 1024;
const SYN_STREAM_HEAD_BYTES = 10;
const HEADERS_HEAD_BYTES = 4;

/**
 * The server's side of a SPDY/3.1 connection as Kubernetes uses it: the client opens streams, both
 * sides write. Clients neither send nor honour WINDOW_UPDATE, so a slow side is waited for by not
 * reading the connection: memory stays bounded, and one slow stream slows those beside it.
 */
export class SpdySession {
  readonly #socket: Duplex;
  readonly #options: SpdySessionOptions;
  readonly #frames = new FrameReader();
  readonly #reader = new HeaderReader();
  readonly #writer = new HeaderWriter();
  readonly #streams = new Map<number, SpdyStream>();
  readonly #slow = new Set<SpdyStream>();
  readonly #waiting: (() => void)[] = [];
  #lastStreamId = 0;
  #closed = false;

  constructor(socket: Duplex, options: SpdySessionOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on('data', (chunk: Buffer) => {
      this.#receive(chunk);
    });
    socket.on('drain', () => {
      for (const resume of this.#waiting.splice(0)) resume();
    });
    socket.on('error', error => {
      this.#end(messageOf(error));
    });
    for (const event of ['end', 'close']) {
      socket.on(event, () => {
        this.#end('the client has closed the connection');
      });
    }
  }

  /** Says goodbye after everything that was written. */
  close(): void {
    if (!this.#closed) {
      this.#socket.write(controlFrame(frameTypes.GOAWAY, words(this.#lastStreamId, 0)));
    }
    this.#socket.end();
    this.#end('closed');
  }

  sendData(streamId: number, bytes: Uint8Array, done: () => void): void {
    if (this.#closed) {
      done();
      return;
    }
    let flows = true;
    for (let offset = 0; offset < bytes.length; offset += DATA_BYTES_MAX) {
      const part = bytes.subarray(offset, offset + DATA_BYTES_MAX);
      this.#socket.cork();
      this.#socket.write(dataHeader(streamId, part.length, 0));
      flows = this.#socket.write(part);
      this.#socket.uncork();
    }
    if (flows) done();
    else this.#waiting.push(done);
  }

  sendEnd(streamId: number): void {
    if (!this.#closed) this.#socket.write(dataHeader(streamId, 0, FLAG_FIN));
  }

  reset(streamId: number, status: number): void {
    if (!this.#closed) this.#control(frameTypes.RST_STREAM, words(streamId, status));
  }

  forget(stream: SpdyStream): void {
    this.#streams.delete(stream.id);
    this.flows(stream);
  }

  /** The stream's reader keeps up again. */
  flows(stream: SpdyStream): void {
    if (this.#slow.delete(stream) && this.#slow.size === 0) this.#socket.resume();
  }

  #receive(chunk: Buffer): void {
    if (this.#closed) return;
    try {
      for (const frame of this.#frames.push(chunk)) this.#take(frame);
    } catch (error) {
      this.#socket.destroy();
      this.#end(`the client broke the protocol: ${messageOf(error)}`);
    }
  }

  #take(frame: SpdyFrame): void {
    if (frame.kind === 'data') {
      this.#takeData(this.#streams.get(frame.streamId), frame.body, frame.flags);
      return;
    }
    const {type, body, flags} = frame;
    switch (type) {
      case frameTypes.SYN_STREAM:
        this.#open(
          streamIdOf(body),
          this.#reader.read(body.subarray(SYN_STREAM_HEAD_BYTES)),
          flags,
        );
        break;
      case frameTypes.SYN_REPLY:
      case frameTypes.HEADERS: // not used, but a part of the one compressed stream
        this.#reader.read(body.subarray(HEADERS_HEAD_BYTES));
        break;
      case frameTypes.RST_STREAM:
        this.#streams.get(streamIdOf(body))?.endByReset();
        break;
      case frameTypes.PING:
        this.#control(frameTypes.PING, body);
        break;
      default: // SETTINGS, WINDOW_UPDATE, GOAWAY and unknown ones ask nothing of us (§2.2.1)
    }
  }

  #open(id: number, headers: SpdyHeaders, flags: number): void {
    if (id <= this.#lastStreamId || id % 2 === 0) throw new Error(`stream ${id} out of order`);
    this.#lastStreamId = id;
    if (this.#streams.size >= STREAMS_MAX) {
      this.reset(id, resetStatus.REFUSED_STREAM);
      return;
    }
    const stream = new SpdyStream(this, {id, headers});
    this.#streams.set(id, stream);
    const reply = Buffer.concat([words(id), this.#writer.write(new Map())]);
    this.#control(frameTypes.SYN_REPLY, reply);
    this.#options.onStream(stream);
    if ((flags & FLAG_FIN) !== 0) stream.push(null);
  }

  #takeData(stream: SpdyStream | undefined, body: Buffer, flags: number): void {
    if (stream === undefined || stream.destroyed) return;
    const flows = body.length === 0 || stream.push(body);
    if ((flags & FLAG_FIN) !== 0) stream.push(null);
    else if (!flows) {
      this.#slow.add(stream);
      this.#socket.pause();
    }
  }

  #control(type: number, body: Uint8Array): void {
    this.#socket.write(controlFrame(type, body));
  }

  #end(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const resume of this.#waiting.splice(0)) resume();
    for (const stream of this.#streams.values()) stream.destroy();
    this.#options.onClose(reason);
  }
}

/** One stream of a session; both halves end on their own. */
export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: SpdyHeaders;
  readonly #session: SpdySession;

  constructor(session: SpdySession, {id, headers}: {id: number; headers: SpdyHeaders}) {
    super({allowHalfOpen: true, readableHighWaterMark: BUFFER_BYTES, emitClose: true});
    this.#session = session;
    this.id = id;
    this.headers = headers;
    // A client that goes is told by the session; nobody has to listen on every stream.
    this.on('error', () => undefined);
  }

  /** The client wants no more of it. */
  endByReset(): void {
    this.push(null);
    this.destroy();
  }

  override _read(): void {
    this.#session.flows(this);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#session.sendData(this.id, chunk, done);
  }

  override _final(done: () => void): void {
    this.#session.sendEnd(this.id);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.writableFinished) this.#session.reset(this.id, resetStatus.CANCEL);
    this.#session.forget(this);
    done(error);
  }
}
