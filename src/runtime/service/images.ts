import type {CallContext} from '../cri/handlers.ts';
import type {
  ImageFilter,
  ImageStatusRequest,
  ListImagesRequest,
  PullImageRequest,
  RemoveImageRequest,
  StreamImagesRequest,
} from '../cri/gen/cri-v1_pb.ts';
import type {StoredImage} from '../image/image-store.ts';
import type {Dependencies} from './dependencies.ts';
import {imageMessage} from './image-message.ts';
import {invalidRequest} from './invalid.ts';
import {chunks} from './listing.ts';

/** CRI v1 ListImages. */
export function listImages({filter}: ListImagesRequest, deps: Dependencies) {
  return Promise.resolve({images: matching(filter, deps).map(imageMessage)});
}

/** CRI v1 StreamImages: the same in pieces, then the end. */
export async function* streamImages({filter}: StreamImagesRequest, deps: Dependencies) {
  for await (const piece of chunks(matching(filter, deps))) {
    yield {images: piece.map(imageMessage)};
  }
}

/** CRI v1 ImageStatus: an image that is not there is an answer without one, not a failure. */
export async function imageStatus({image, verbose}: ImageStatusRequest, deps: Dependencies) {
  const found = deps.images.resolve(requiredName(image?.image));
  if (!found) return {};
  return {image: imageMessage(found), info: verbose ? {info: await verboseInfo(found, deps)} : {}};
}

/** CRI v1 PullImage; answers the image's id, as every later message names it. */
export async function pullImage(
  {image, auth}: PullImageRequest,
  {signal}: CallContext,
  deps: Dependencies,
) {
  const name = requiredName(image?.image);
  const pulled = await deps.puller.pull(name, {signal, ...(auth ? {auth} : {})});
  return {imageRef: pulled.id};
}

/** CRI v1 RemoveImage: by id all of it, by name that name. An unknown image is success. */
export async function removeImage({image}: RemoveImageRequest, deps: Dependencies) {
  await deps.images.remove(requiredName(image?.image));
  return {};
}

/** CRI v1 ImageFsInfo, from what was counted while unpacking: nothing is walked. */
export function imageFsInfo(deps: Dependencies) {
  const {mountpoint, usedBytes, inodesUsed} = deps.images.usage();
  const usage = {
    timestamp: deps.clock.now(),
    fsId: {mountpoint},
    usedBytes: {value: BigInt(usedBytes)},
    inodesUsed: {value: BigInt(inodesUsed)},
  };
  return Promise.resolve({imageFilesystems: [usage], containerFilesystems: [usage]});
}

function matching(filter: ImageFilter | undefined, deps: Dependencies): readonly StoredImage[] {
  const name = filter?.image?.image ?? '';
  if (name === '') return deps.images.list();
  const found = deps.images.resolve(name);
  return found ? [found] : [];
}

function requiredName(name = ''): string {
  if (name !== '') return name;
  throw invalidRequest('image.image is empty', 'name an image');
}

async function verboseInfo(image: StoredImage, deps: Dependencies): Promise<string> {
  const imageSpec: unknown = JSON.parse(
    Buffer.from(await deps.images.readConfig(image.id)).toString('utf8'),
  );
  return JSON.stringify({layers: image.layers, manifestDigest: image.manifestDigest, imageSpec});
}
