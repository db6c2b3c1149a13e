const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const SUBDOMAIN_LENGTH_MAX = 253;
const WORD = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const WORD_LENGTH_MAX = 63;

/** A name of most objects, Secrets among them (RFC 1123 subdomain). */
export function isSubdomain(text: string): boolean {
  return text.length <= SUBDOMAIN_LENGTH_MAX && SUBDOMAIN.test(text);
}

/** A key of a label or an annotation: a word, perhaps with a domain and a slash before it. */
export function isAnnotationKey(text: string): boolean {
  const slash = text.indexOf('/');
  const word = text.slice(slash + 1);
  const isDomain = slash === -1 || isSubdomain(text.slice(0, slash).toLowerCase());
  return isDomain && word.length <= WORD_LENGTH_MAX && WORD.test(word);
}

/** A value of a label: a word, or nothing. */
export function isLabelValue(text: string): boolean {
  return text === '' || (text.length <= WORD_LENGTH_MAX && WORD.test(text));
}
