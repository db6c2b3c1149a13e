import {object, text, texts} from './json-schema.ts';

/** One key of a Secret; without `key`, the default of the field that refers to it. */
export const secretKeyReferenceSchema = object({key: text, name: text}, 'name');
/** A Secret whose keys have fixed names. */
export const secretReferenceSchema = object({name: text}, 'name');
/** A ServiceAccount for which a token is requested. */
export const serviceAccountReferenceSchema = object({audiences: texts, name: text}, 'name');
