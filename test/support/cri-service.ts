import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {connectCri} from '#runtime/client/connect';
import type {
  ImageServiceHandlers,
  ImagesHandlers,
  RuntimeServiceHandlers,
} from '#runtime/cri/handlers';
import {createInstrument, type CallRecord} from '#runtime/cri/instrument';
import {startCriServer} from '#runtime/cri/server';
import {createLog} from '#shared/log';
import {someImageHandlers, someRuntimeHandlers} from './cri-handlers.ts';
import {temporaryFolder} from './temporary-folder.ts';

/** What a test's daemon answers; the other RPCs refuse. */
export interface Answers {
  readonly runtime?: Partial<RuntimeServiceHandlers>;
  readonly image?: Partial<ImageServiceHandlers>;
  readonly images?: ImagesHandlers;
}

/** A folder that is gone when the test ends. */
export async function folderOf(t: ExecutionContext): Promise<string> {
  const folder = await temporaryFolder();
  t.teardown(() => folder[Symbol.asyncDispose]());
  return folder.path;
}

/** A CRI server on a socket of its own, and a client of it, both gone when the test ends. */
export async function serveCri(t: ExecutionContext, {runtime = {}, image = {}, images}: Answers) {
  const socket = join(await folderOf(t), 'deep', 'cri.sock');
  const lines: string[] = [];
  const calls: CallRecord[] = [];
  const log = createLog({level: 'debug', write: line => lines.push(line)});
  const server = await startCriServer({
    socket,
    runtimeService: someRuntimeHandlers(runtime),
    imageService: someImageHandlers(image),
    ...(images === undefined ? {} : {images}),
    instrument: createInstrument({log, record: call => calls.push(call)}),
  });
  const client = connectCri(socket);
  t.teardown(async () => {
    client.close();
    await server.stop(0);
  });
  return {socket, server, client, lines, calls};
}
