import {createReadStream} from 'node:fs';
import {CodedError, messageOf} from '#shared/errors';
import {sendArchive} from '../cri/archive.ts';
import type {CommandErrorCode} from '../errors.ts';
import {usage} from './arguments.ts';
import type {CommandContext} from './context.ts';
import {workLimits} from './limits.ts';

/** Fetches images one after the other; says each one's id. */
export async function pullCommand(context: CommandContext): Promise<number> {
  const {client, words, output} = context;
  if (words.length === 0) throw usage('pull takes at least one image');
  for (const image of words) {
    const {imageRef} = await client.image.pullImage({image: {image}}, workLimits(context));
    output.write(`${image} ${imageRef}\n`);
  }
  return 0;
}

/** Streams an archive to the daemon. */
export async function importCommand(context: CommandContext): Promise<number> {
  const {client, words, options, output, stdin} = context;
  const [file, ...more] = words;
  if (file === undefined || more.length > 0) {
    throw usage('image import takes one file, or "-" for standard input');
  }
  const data = file === '-' ? stdin : readArchive(file);
  const {images} = await client.images.import(
    sendArchive(options.names, data),
    workLimits(context),
  );
  for (const {id, repoTags} of images) {
    output.write(`${repoTags.length === 0 ? '(none)' : repoTags.join(' ')} ${id}\n`);
  }
  return 0;
}

/** Removes images; one that is not there counts as removed. */
export async function removeImageCommand(context: CommandContext): Promise<number> {
  const {client, words, output} = context;
  if (words.length === 0) throw usage('image remove takes at least one image');
  for (const image of words) {
    await client.image.removeImage({image: {image}}, workLimits(context));
    output.write(`${image}\n`);
  }
  return 0;
}

async function* readArchive(file: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(file, {highWaterMark: 256 * 1024}) as AsyncIterable<Uint8Array>;
  } catch (cause) {
    throw new CodedError<CommandErrorCode>(
      'ERR_ARCHIVE_UNREADABLE',
      `cannot read the archive ${file}: ${messageOf(cause)}`,
      {hint: 'check the path, or pipe the archive into "slipway-cri image import -"', cause},
    );
  }
}
