/** Names and values that SPDY/3 expects in headers, each behind its length (§2.6.10.1). */
const ENTRIES = [
  'options head post put delete trace accept accept-charset accept-encoding accept-language',
  'accept-ranges age allow authorization cache-control connection content-base content-encoding',
  'content-language content-length content-location content-md5 content-range content-type date',
  'etag expect expires from host if-match if-modified-since if-none-match if-range',
  'if-unmodified-since last-modified location max-forwards pragma proxy-authenticate',
  'proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade',
  'user-agent vary via warning www-authenticate method get status',
].flatMap(line => line.split(' '));
const LATER_ENTRIES = [
  '200 OK',
  'version',
  'HTTP/1.1',
  'url',
  'public',
  'set-cookie',
  'keep-alive',
  'origin',
];
/** Fragments without a length. */
const FRAGMENTS = [
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505',
  '203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request',
  '401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented',
  '503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 ',
  'Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT',
  'chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,',
  'text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch',
  'charset=utf-8charset=iso-8859-1,utf-,*,enq=0.',
];

/**
 * The dictionary of SPDY/3's header compression, 1423 bytes
 * (draft-mbelshe-httpbis-spdy-00 §2.6.10.1).
 */
export const spdyDictionary: Buffer = Buffer.concat([
  ...[...ENTRIES, ...LATER_ENTRIES].flatMap(entry => [lengthOf(entry), Buffer.from(entry)]),
  Buffer.from(FRAGMENTS.join('')),
]);

/** Adler-32 of it, as zlib announces a dictionary (RFC 1950 §2.2). */
export const SPDY_DICTIONARY_ADLER32 = 0xe3c6a7c2;

function lengthOf(entry: string): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(entry.length);
  return bytes;
}
