import {CodedError} from '#shared/errors';
import {type ImageReference, parseReference} from '#shared/oci/reference';
import type {RuntimeErrorCode} from '../../errors.ts';
import type {RegistriesConf} from './registries-conf.ts';

/** Kubernetes' manifests mean Docker's when they leave out the registry. */
const DEFAULT_SEARCH: readonly string[] = ['docker.io'];

/**
 * The full references that a name may mean, in the order in which they are tried. A full name means
 * itself; a short one (`busybox`, `library/busybox:1`) its alias, else one per search registry.
 * Where no file names search registries it is Docker's, as everywhere in Kubernetes.
 * Beside a digest, a tag says nothing and is dropped.
 *
 * @throws CodedError ERR_IMAGE_REFERENCE_INVALID; ERR_SHORT_NAME_AMBIGUOUS when the file allows no
 *   short names, or several registries and no guessing
 */
export function resolveName(text: string, conf: RegistriesConf): readonly ImageReference[] {
  const reference = parseReference(text); // for its grammar
  if (text.startsWith(`${reference.registry}/`)) return [withoutTag(reference)];
  const name = /^[^:@]*/.exec(text)?.[0] ?? '';
  const alias = conf.aliases.get(name);
  if (alias !== undefined) return [withoutTag(parseReference(alias + text.slice(name.length)))];
  const registries = conf.searchRegistries ?? DEFAULT_SEARCH;
  if (registries.length === 0) {
    throw ambiguous(text, 'registries.conf has no unqualified-search-registries');
  }
  if (registries.length > 1 && conf.shortNameMode === 'enforcing') {
    throw ambiguous(text, `it could be of ${registries.join(', ')}`);
  }
  return registries.map(registry => withoutTag(parseReference(`${registry}/${text}`)));
}

function withoutTag(reference: ImageReference): ImageReference {
  if (reference.digest === undefined) return reference;
  const {registry, repository, digest} = reference;
  return {registry, repository, digest};
}

function ambiguous(text: string, reason: string): CodedError<RuntimeErrorCode> {
  return new CodedError(
    'ERR_SHORT_NAME_AMBIGUOUS',
    `"${text}" does not say its registry: ${reason}`,
    {
      hint: `write the full name, e.g. docker.io/library/${text}, or add an alias to registries.conf`,
    },
  );
}
