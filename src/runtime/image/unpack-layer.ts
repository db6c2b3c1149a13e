import {createHash} from 'node:crypto';
import {closeSync, mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {CodedError, isCoded} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import {openDirectory} from '../sys/files.ts';
import {Decompression} from './decompress.ts';
import {layerInvalid} from './layer-invalid.ts';
import {TarReader} from './tar-reader.ts';
import {type LayerJob, PENDING_FILE, TREE_DIRECTORY, type UnpackDone} from './unpack-job.ts';
import {UnpackTree} from './unpack-tree.ts';

/** An archive that unpacks to more than this is an attack or a mistake. */
const UNPACKED_BYTES_MAX = 256 * 1024 ** 3;

/**
 * Verifies and unpacks one layer while it arrives: digest of the transferred bytes, decompression
 * (on a thread of libuv's), digest of the archive, and its entries onto the disk.
 *
 * @param bytes exactly the layer's bytes
 * @throws CodedError ERR_DIGEST_MISMATCH, ERR_LAYER_INVALID; `SystemError`
 */
export async function unpackLayer(
  job: LayerJob,
  bytes: AsyncIterable<Buffer>,
): Promise<UnpackDone> {
  const tree = join(job.directory, TREE_DIRECTORY);
  mkdirSync(tree, {mode: 0o700});
  const rootFd = openDirectory(tree);
  try {
    using unpack = new UnpackTree(rootFd);
    await transfer(job, bytes, new TarReader(unpack));
    const {pending, ...counts} = unpack.finish();
    const {impliedDirectories, whiteouts, hardLinks} = pending;
    const isPending = impliedDirectories.length + whiteouts.length + hardLinks.length > 0;
    if (isPending) {
      writeFileSync(join(job.directory, PENDING_FILE), JSON.stringify(pending), {
        mode: 0o600,
      });
    }
    return {kind: 'done', ...counts, isPending};
  } finally {
    closeSync(rootFd);
  }
}

async function transfer(
  {digest, diffId}: LayerJob,
  bytes: AsyncIterable<Buffer>,
  reader: TarReader,
): Promise<void> {
  const transferred = createHash('sha256');
  const archive = createHash('sha256');
  let unpackedBytes = 0;
  const decompression = new Decompression(piece => {
    unpackedBytes += piece.length;
    if (unpackedBytes > UNPACKED_BYTES_MAX) throw layerInvalid('it unpacks to over 256 GiB');
    archive.update(piece);
    reader.push(piece);
  });
  let complaint: unknown;
  for await (const piece of bytes) {
    transferred.update(piece);
    if (complaint === undefined) complaint = await outcomeOf(decompression.write(piece));
    if (complaint !== undefined && !isCoded(complaint)) throw complaint as Error;
  }
  complaint ??= await outcomeOf(decompression.end().then(() => { reader.end(); })); // prettier-ignore
  // The digest goes first: of bytes that are not the layer's, every other complaint is noise.
  compare('the layer', digest, `sha256:${transferred.digest('hex')}`);
  if (complaint !== undefined) throw complaint as Error;
  compare('the unpacked layer', diffId, `sha256:${archive.digest('hex')}`);
}

async function outcomeOf(work: Promise<void>): Promise<unknown> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error;
  }
}

function compare(what: string, expected: string, found: string): void {
  if (expected === found) return;
  throw new CodedError<RuntimeErrorCode>(
    'ERR_DIGEST_MISMATCH',
    `${what} has the digest ${found}, not ${expected}`,
    {hint: 'pull again; if it stays so, the registry or a proxy before it holds a damaged copy'},
  );
}
