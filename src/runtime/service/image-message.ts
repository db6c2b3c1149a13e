import type {MessageInitShape} from '@bufbuild/protobuf';
import type {ImageSchema} from '../cri/gen/cri-v1_pb.ts';
import type {StoredImage} from '../image/image-store.ts';

/** An image as ListImages and ImageStatus show it. */
export function imageMessage(image: StoredImage): MessageInitShape<typeof ImageSchema> {
  const {id, tags, digests, sizeBytes, pinned, config} = image;
  return {
    id,
    repoTags: [...tags],
    repoDigests: [...digests],
    size: BigInt(sizeBytes),
    ...imageUser(config.user),
    spec: {image: id},
    pinned,
  };
}

/** USER of the image: a number is a uid, else it is a name; without either it runs as root. */
function imageUser(user: string): {readonly uid?: {value: bigint}; readonly username?: string} {
  const [name = ''] = user.split(':', 1);
  if (name === '') return {uid: {value: 0n}};
  return /^\d{1,10}$/.test(name) ? {uid: {value: BigInt(name)}} : {username: name};
}
