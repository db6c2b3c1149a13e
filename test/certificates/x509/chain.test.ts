import test from 'ava';
import type {KeyObject} from 'node:crypto';
import {parseCertificate, type ParsedCertificate} from '#certificates/x509/certificate';
import {formatChain, parseBundle, parseChain} from '#certificates/x509/chain';
import {createCertificate} from '#certificates/x509/create-certificate';
import {subjectName} from '#certificates/x509/distinguished-name';
import {fixedKey} from '#test/certificates/fixed-key';

interface Link {
  readonly key: KeyObject;
  readonly certificate: ParsedCertificate;
}

function issue(name: string, issuer?: Link, keyName = name): Link {
  const key = fixedKey(keyName);
  const pem = createCertificate({
    subject: subjectName({commonName: name}),
    names: [],
    publicKey: key,
    notBefore: new Date('2026-01-01T00:00:00Z'),
    notAfter: new Date('2027-01-01T00:00:00Z'),
    usages: ['cert sign'],
    isCa: true,
    issuer: issuer ?? {key},
  });
  return {key, certificate: parseCertificate(pem)};
}

const root = issue('root');
const upper = issue('upper', root);
const lower = issue('lower', upper);
const leaf = issue('leaf', lower);
const pem = (...links: readonly Link[]): string =>
  formatChain(links.map(({certificate}) => certificate));

/** Names of a chain from the leaf upwards, `|`, root, `|`, what goes into ca.crt. */
function shape(text: string): string {
  const chain = parseChain(text);
  const name = (certificate?: ParsedCertificate): string =>
    certificate?.subject[0]?.[0]?.value ?? '-';
  const path = [chain.leaf, ...chain.intermediates].map(name).join(' ');
  return `${path} | ${name(chain.root)} | ${name(chain.ca)}`;
}

test('a chain is put in order, whatever order it comes in', t => {
  const links = [leaf, lower, upper, root];
  for (let rotation = 0; rotation < links.length; rotation++) {
    links.push(...links.splice(0, 1));
    t.is(shape(pem(...links)), 'leaf lower upper | root | root');
    t.is(shape(pem(...links.toReversed())), 'leaf lower upper | root | root');
  }
  t.is(formatChain(parseChain(pem(root, leaf, upper, lower)).all), pem(leaf, lower, upper, root));
});

test('a certificate that comes twice counts once', t => {
  t.is(shape(pem(leaf, lower, leaf, root, upper, lower)), 'leaf lower upper | root | root');
});

test('without a root the topmost certificate is the CA, and stays in the chain', t => {
  t.is(shape(pem(lower, leaf, upper)), 'leaf lower upper | - | upper');
});

test('a certificate alone is the CA only when it is self-signed', t => {
  t.is(shape(pem(leaf)), 'leaf | - | -');
  t.is(shape(pem(root)), 'root | root | root');
});

test('certificates that are not one chain are refused', t => {
  const other = issue('other');
  const cases = {
    'two leaves': pem(leaf, issue('second', lower), lower),
    'a stranger': pem(leaf, lower, other),
    'a gap': pem(leaf, upper, root),
    'no certificate': '',
    'a certificate and a key': `${pem(leaf)}-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n`,
    'a broken one': pem(leaf) + pem(lower).replace(/\n[^-\n]*\n(?=-----END)/, '\n'),
    'too many': Array.from({length: 33}, () => pem(root)).join(''),
    'too long a text': pem(leaf) + ' '.repeat(95_000),
  };
  for (const [what, text] of Object.entries(cases)) {
    t.throws(() => parseChain(text), {code: 'ERR_CHAIN_INVALID'}, what);
  }
});

test('an issuer of the right name with another key is none', t => {
  const impostor = issue('lower', upper, 'impostor');
  t.false(leaf.certificate.isIssuedBy(impostor.certificate));
  t.throws(() => parseChain(pem(leaf, impostor)), {code: 'ERR_CHAIN_INVALID'});
});

test('an issuer with the right key and another name is none', t => {
  const renamed = issue('renamed', upper, 'lower');
  t.false(leaf.certificate.isIssuedBy(renamed.certificate));
});

test('a CA that was renewed with its key is an issuer as the old one was', t => {
  t.true(leaf.certificate.isIssuedBy(issue('lower', upper).certificate));
});

test('a bundle keeps its order and may hold strangers', t => {
  const other = issue('other');
  const text = pem(other, leaf, root);
  t.is(formatChain(parseBundle(text)), text);
  t.throws(() => parseBundle(text + ' '.repeat(330_000)), {code: 'ERR_CHAIN_INVALID'});
});
