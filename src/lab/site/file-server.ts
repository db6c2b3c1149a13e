// Serves the site's package repository: file-server.ts FOLDER ADDRESS PORT. A program of its own,
// since it runs in the site's network namespace.
import {createReadStream} from 'node:fs';
import {stat} from 'node:fs/promises';
import type {Server, ServerResponse} from 'node:http';
import {join, normalize} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {createServer} from '#shared/node-http';

/** This file, to be run with Node. */
export const FILE_SERVER_PROGRAM = import.meta.filename;

/** Answers GET and HEAD with the files below `folder`; everything else with 404 or 405. */
export function createFileServer(folder: string): Server {
  return createServer((request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405).end();
      return;
    }
    const path = filePath(folder, request.url ?? '/');
    sendFile({path, headOnly: request.method === 'HEAD', response}).catch(() => {
      // The client went away, or the file is absent: both end this one answer only.
      if (response.headersSent) response.destroy();
      else response.writeHead(404).end();
    });
  });
}

/** The file that a request's target names; never one outside `folder`. */
export function filePath(folder: string, target: string): string {
  const {pathname} = new URL(target, 'http://site.invalid');
  let decoded: string;
  try {
    decoded = decodeURIComponent(pathname);
  } catch {
    return join(folder, '.not-a-path'); // a broken escape names no file
  }
  return join(folder, normalize(join('/', decoded.replaceAll('\0', ''))));
}

async function sendFile(answer: {
  readonly path: string;
  readonly headOnly: boolean;
  readonly response: ServerResponse;
}): Promise<void> {
  const {path, headOnly, response} = answer;
  const found = await stat(path);
  if (!found.isFile()) throw new Error(`not a file: ${path}`);
  response.writeHead(200, {
    'content-length': found.size,
    'content-type': 'application/octet-stream',
    'last-modified': found.mtime.toUTCString(),
  });
  if (headOnly) response.end();
  else await pipeline(createReadStream(path), response);
}

if (import.meta.main) {
  const [folder = '.', address = '127.0.0.1', port = '8080'] = process.argv.slice(2);
  createFileServer(folder).listen(Number(port), address);
}
