import {parseKey} from '../../kube/resource.ts';
import type {SecretFacts} from './secret-facts.ts';

/** The name of a Secret without its namespace. */
export function nameOf({key}: SecretFacts): string {
  return parseKey(key).name;
}

/**
 * A name for the Secret that holds the key of an issuance: `<certificate>-<5 random characters>`,
 * at most 63 characters, as the API server makes names (`generateName`).
 */
export function keySecretName(certificate: string, random: () => number): string {
  const base = `${certificate}-`.slice(0, NAME_LENGTH_MAX - RANDOM_LENGTH);
  return base + Array.from({length: RANDOM_LENGTH}, () => randomCharacter(random)).join('');
}

const NAME_LENGTH_MAX = 63;
const RANDOM_LENGTH = 5;
const CHARACTERS = 'abcdefghijklmnopqrstuvwxyz0123456789';

function randomCharacter(random: () => number): string {
  return CHARACTERS.charAt(Math.floor(random() * CHARACTERS.length));
}
