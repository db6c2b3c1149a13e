import {z} from 'zod';
import type {HostImage} from '../role/facts.ts';
import type {RuntimeName} from '../role/cluster.ts';

/**
 * sh that prints what is in a runtime's image store: `images<TAB>yes` and a line per image of
 * containerd, or one line with all of CRI's JSON of our own daemon. Nothing when it does not answer.
 */
export const LIST_IMAGES: Readonly<Record<RuntimeName, string>> = {
  containerd: `
if i=$(ctr -n k8s.io images ls 2>/dev/null); then
  printf 'images\\tyes\\n'
  printf '%s\\n' "$i" | awk 'NR > 1 {print "image\\t" $1 "\\t" $3}'
fi`.trim(),
  slipway: `
if i=$(slipway-cri images -o json 2>/dev/null); then
  printf 'cri-images\\t%s\\n' "$(printf %s "$i" | base64 -w0)"
fi`.trim(),
};

const criImages = z.object({
  images: z
    .array(
      z.object({
        repoTags: z.array(z.string()).default([]),
        repoDigests: z.array(z.string()).default([]),
      }),
    )
    .default([]),
});

/** Reads what {@link LIST_IMAGES} prints; undefined when no runtime answered. */
export function parseImages(
  lines: readonly (readonly string[])[],
): readonly HostImage[] | undefined {
  const json = lines.find(([key]) => key === 'cri-images')?.[1];
  if (json !== undefined) return parseCriImages(Buffer.from(json, 'base64').toString());
  if (!lines.some(([key]) => key === 'images')) return undefined;
  return lines
    .filter(([key]) => key === 'image')
    .map(([, reference = '', digest = '']) => ({reference, digests: [digest]}));
}

function parseCriImages(text: string): readonly HostImage[] {
  const {images} = criImages.parse(JSON.parse(text));
  return images.flatMap(({repoTags, repoDigests}) => {
    const digests = repoDigests.map(name => name.slice(name.indexOf('@') + 1));
    return repoTags.map(reference => ({reference, digests}));
  });
}
