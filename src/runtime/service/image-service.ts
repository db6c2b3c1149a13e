import {Readable} from 'node:stream';
import {receiveArchive} from '../cri/archive.ts';
import type {ImageServiceHandlers, ImagesHandlers} from '../cri/handlers.ts';
import type {Dependencies} from './dependencies.ts';
import {
  imageFsInfo,
  imageStatus,
  listImages,
  pullImage,
  removeImage,
  streamImages,
} from './images.ts';

/** All RPCs of CRI v1's ImageService. */
export function imageService(deps: Dependencies): ImageServiceHandlers {
  return {
    listImages: request => listImages(request, deps),
    streamImages: request => streamImages(request, deps),
    imageStatus: request => imageStatus(request, deps),
    pullImage: (request, context) => pullImage(request, context, deps),
    removeImage: request => removeImage(request, deps),
    imageFsInfo: () => imageFsInfo(deps),
  };
}

/** Our own service: `slipway-cri image import`. */
export function imagesService({puller}: Dependencies): ImagesHandlers {
  return {
    import: async (requests, {signal}) => {
      const {names, data} = await receiveArchive(requests);
      const images = await puller.importArchive(Readable.from(data), {names, signal});
      return {images: images.map(({id, tags}) => ({id, repoTags: [...tags]}))};
    },
  };
}
