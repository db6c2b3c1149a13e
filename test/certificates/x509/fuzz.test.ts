import test from 'ava';
import {X509Certificate} from 'node:crypto';
import {isCoded, messageOf} from '#shared/errors';
import {parseCertificate, type ParsedCertificate} from '#certificates/x509/certificate';
import {createSigningRequest, parseSigningRequest} from '#certificates/x509/certificate-request';
import {parseBundle, parseChain} from '#certificates/x509/chain';
import {createCertificate} from '#certificates/x509/create-certificate';
import {subjectName} from '#certificates/x509/distinguished-name';
import type {GeneralName} from '#certificates/x509/general-names';
import {decodePrivateKey, encodePrivateKey, publicKeyDigest} from '#certificates/x509/keys';
import {formatName, parseLiteralSubject} from '#certificates/x509/literal-subject';
import {encodeName} from '#certificates/x509/name-encoding';
import {encodePem} from '#certificates/x509/pem';
import {fixedKey} from '#test/certificates/fixed-key';

/** The same every time; another number tries other inputs: FUZZ_SEED=7 FUZZ_CASES=100000. */
const seed = Number(process.env['FUZZ_SEED'] ?? 1);
const caseCount = Number(process.env['FUZZ_CASES'] ?? 1_000);

const key = fixedKey('fuzz');
const names: readonly GeneralName[] = [
  {kind: 'dns', value: 'a.example.com'},
  {kind: 'email', value: 'a@example.com'},
  {kind: 'ip', value: '2001:db8::1'},
  {kind: 'uri', value: 'spiffe://a/b'},
  {kind: 'other', oid: '1.3.6.1.4.1.311.20.2.3', value: 'ä@b'},
  {kind: 'directory', name: parseLiteralSubject('CN=a,DC=b')},
  {kind: 'registeredId', value: '1.2.3.4'},
];
const nameConstraints = {
  critical: true,
  permitted: {dnsDomains: ['example.com'], ipRanges: ['10.0.0.0/8']},
  excluded: {emailAddresses: ['b'], uriDomains: ['c']},
};
const subject = parseLiteralSubject('CN=ü+UID=b,2.5.4.41=#1e0400410042,O=a\\, b,C=DE');
const usages = ['digital signature', 'cert sign', 'server auth', 'any'];
const requestPem = createSigningRequest({subject, names, usages, isCa: true, nameConstraints, key});
const certificatePem = createCertificate({
  subject,
  names,
  publicKey: key,
  notBefore: new Date('2026-01-01T00:00:00Z'),
  notAfter: new Date('2051-01-01T00:00:00Z'),
  usages,
  isCa: true,
  nameConstraints,
  crlDistributionPoints: ['http://a'],
  ocspServers: ['http://b'],
  issuer: {key},
});
const leafPem = createCertificate({
  subject: subjectName({commonName: 'leaf'}),
  names,
  publicKey: fixedKey('leaf'),
  notBefore: new Date('2026-01-01T00:00:00Z'),
  notAfter: new Date('2027-01-01T00:00:00Z'),
  usages,
  isCa: false,
  issuer: {key, certificate: parseCertificate(certificatePem)},
});

/** mulberry32: small, and good enough to hit everything. */
function createRandom(state: number): (below: number) => number {
  return below => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

type Random = ReturnType<typeof createRandom>;

/** One to three changes: bits, octets, lengths, cuts, repeats, and pieces moved elsewhere. */
function mutate(original: Buffer, random: Random): Buffer {
  let octets = Buffer.from(original);
  for (let changes = 1 + random(3); changes > 0; changes--) octets = changeOnce(octets, random);
  return octets;
}

const edgeOctets = [0x00, 0x01, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xff, 0x30, 0x31, 0xa0, 0xa3];

function changeOnce(octets: Buffer, random: Random): Buffer<ArrayBuffer> {
  const at = random(octets.length);
  const changed = Buffer.from(octets);
  switch (random(6)) {
    case 0:
      changed[at] = (changed[at] ?? 0) ^ (1 << random(8));
      return changed;
    case 1:
      changed[at] = edgeOctets[random(edgeOctets.length)] ?? 0;
      return changed;
    case 2:
      changed[at] = random(256);
      return changed;
    case 3:
      return Buffer.concat([changed.subarray(0, at), changed.subarray(at + 1 + random(8))]);
    case 4:
      return changed.subarray(0, at);
    default: {
      const piece = changed.subarray(at, at + random(40));
      const to = random(octets.length);
      return Buffer.concat([changed.subarray(0, to), piece, changed.subarray(to)]);
    }
  }
}

/** Runs a parser over many mutations; every refusal has to be one of these codes. */
function survivors(
  original: Buffer,
  parse: (octets: Buffer) => unknown,
  codes: readonly string[],
): number {
  const random = createRandom(seed);
  let accepted = 0;
  for (let i = 0; i < caseCount; i++) {
    const octets = mutate(original, random);
    try {
      parse(octets);
      accepted++;
    } catch (error) {
      if (isCoded(error) && codes.includes(error.code)) continue;
      const found = `${messageOf(error)}: ${octets.toString('hex')}`;
      throw new Error(`case ${String(i)} of seed ${String(seed)}: ${found}`, {cause: error});
    }
  }
  return accepted;
}

/** Everything that is computed on demand. */
const readAll = ({
  subject,
  pem,
  isSelfSigned,
  publicKey,
}: ParsedCertificate): readonly unknown[] => [formatName(subject), pem, isSelfSigned, publicKey];

test('a damaged certificate is refused with a code, or read as OpenSSL reads it', t => {
  const {der} = parseCertificate(certificatePem);
  let compared = 0;
  const accepted = survivors(
    der,
    octets => {
      const ours = parseCertificate(octets);
      readAll(ours);
      const theirs = opensslCertificate(octets);
      if (!theirs) return;
      compared++;
      t.is(BigInt(`0x${theirs.serialNumber.replace('-', '')}`), magnitude(ours.serial));
      t.is(theirs.validToDate.getTime(), ours.notAfter.getTime());
      t.is(publicKeyDigest(theirs.publicKey), ours.publicKeyDigest);
    },
    ['ERR_CERTIFICATE_INVALID'],
  );
  t.true(accepted > caseCount / 100 && compared > 0, `${String(accepted)}, ${String(compared)}`);
});

function opensslCertificate(octets: Buffer): X509Certificate | undefined {
  try {
    const certificate = new X509Certificate(octets);
    return certificate.publicKey.type === 'public' ? certificate : undefined;
  } catch {
    return undefined; // it is as strict as we are, in other things
  }
}

/** Of a two's complement number. */
function magnitude(octets: Buffer): bigint {
  const value = BigInt.asIntN(octets.length * 8, BigInt(`0x${octets.toString('hex')}`));
  return value < 0n ? -value : value;
}

test('a damaged request is refused with a code or read', t => {
  const {der} = parseSigningRequest(requestPem);
  const signed = der.subarray(4, 4 + 4 + der.readUInt16BE(6));
  const accepted = survivors(
    der,
    octets => {
      const request = parseSigningRequest(encodePem('CERTIFICATE REQUEST', octets));
      formatName(request.subject);
      // The signature covers what comes before it; a change behind that may leave it valid.
      t.true(!request.signatureIsValid() || octets.includes(signed));
    },
    ['ERR_REQUEST_INVALID'],
  );
  t.true(accepted > caseCount / 100);
});

test('what a damaged request asks for is issued or refused with a code, and reads back', t => {
  const {der} = parseSigningRequest(requestPem);
  const issuer = parseCertificate(certificatePem);
  survivors(
    der,
    octets => {
      const request = parseSigningRequest(encodePem('CERTIFICATE REQUEST', octets));
      const certificate = parseCertificate(
        createCertificate({
          ...request,
          usages: request.usages ?? [],
          isCa: request.isCa ?? false,
          notBefore: issuer.notBefore,
          notAfter: issuer.notAfter,
          issuer: {key, certificate: issuer},
        }),
      );
      t.deepEqual(certificate.names, request.names);
      t.is(formatName(certificate.subject), formatName(request.subject));
      t.is(certificate.publicKeyDigest, request.publicKeyDigest);
      t.true(certificate.isIssuedBy(issuer));
    },
    ['ERR_REQUEST_INVALID', 'ERR_NAME_INVALID', 'ERR_CERTIFICATE_INVALID'],
  );
});

test('damaged PEM of certificates is refused with a code or read', t => {
  for (const parse of [parseChain, parseBundle]) {
    const accepted = survivors(
      Buffer.from(leafPem + certificatePem),
      octets => {
        const result = parse(octets);
        ('all' in result ? result.all : result).forEach(readAll);
      },
      ['ERR_CHAIN_INVALID', 'ERR_CERTIFICATE_INVALID'],
    );
    t.true(accepted > caseCount / 100);
  }
});

test('a damaged private key is refused with a code that tells nothing of it, or used', t => {
  survivors(
    Buffer.from(encodePrivateKey(key, 'PKCS8')),
    octets => publicKeyDigest(decodePrivateKey(octets)),
    ['ERR_PRIVATE_KEY_INVALID'],
  );
  t.pass();
});

test('a damaged literal subject is refused with a code, or encoded and formatted', t => {
  const text = 'CN=Gr\\C3\\BC\\,ße+UID=#0C0161,OU=\\ a\\+b\\ ,O="x",1.2.3.4=y;DC=com';
  const accepted = survivors(
    Buffer.from(text.replaceAll('"', '')),
    octets => {
      const name = parseLiteralSubject(octets.toString('utf8'));
      encodeName(name);
      t.is(formatName(parseLiteralSubject(formatName(name))), formatName(name));
    },
    ['ERR_NAME_INVALID'],
  );
  t.true(accepted > caseCount / 10);
});
