import type {SecretObject} from '#certificates/apis/resources';
import {SECRET_FIELD_MANAGER} from '#certificates/apis/names';

/** What the API server answers to a forced apply of this object by our field manager. */
export function applied(
  object: SecretObject,
  {uid = 'secret-uid', resourceVersion = '7'}: {readonly uid?: string; readonly resourceVersion?: string} = {}, // prettier-ignore
): SecretObject {
  return {
    ...object,
    metadata: {
      ...object.metadata,
      uid,
      resourceVersion,
      managedFields: [managedEntry(object)],
    },
  };
}

/** meta/v1 ManagedFieldsEntry of an apply that names all that the object has. */
export function managedEntry({
  metadata,
  data,
  type,
}: SecretObject): Readonly<Record<string, unknown>> {
  const owners = (metadata['ownerReferences'] ?? []) as readonly {readonly uid: string}[];
  return {
    manager: SECRET_FIELD_MANAGER,
    operation: 'Apply',
    apiVersion: 'v1',
    fieldsType: 'FieldsV1',
    fieldsV1: {
      'f:metadata': {
        'f:labels': fields(metadata.labels),
        'f:annotations': fields(metadata.annotations),
        ...(owners.length > 0 && {
          'f:ownerReferences': Object.fromEntries(
            owners.map(({uid}) => [`k:{"uid":"${uid}"}`, {}]),
          ),
        }),
      },
      'f:data': {'.': {}, ...fields(data)},
      ...(type !== undefined && {'f:type': {}}),
    },
  };
}

function fields(map: Readonly<Record<string, string>> = {}): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.keys(map).map(key => [`f:${key}`, {}]));
}
