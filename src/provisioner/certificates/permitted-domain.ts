import {X509Certificate} from 'node:crypto';

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const HOST = /^[a-z0-9_-]+([.][a-z0-9_-]+)*$/i;
/** RFC 5280 §4.2.1.10 `id-ce-nameConstraints`, 2.5.29.30. */
const NAME_CONSTRAINTS = Buffer.from([0x55, 0x1d, 0x1e]);

/**
 * The first domain below which a CA may issue, by its own name constraints or else those of the CAs
 * that follow; undefined where any will do, and for a text that cannot be read. Pure.
 *
 * @param pem of the CA, lowest first
 */
export function permittedDomain(pem: string): string | undefined {
  const permitted = (pem.match(PEM_CERTIFICATE) ?? [])
    .map(permittedDomains)
    .find(domains => domains.length > 0);
  return permitted?.map(domain => domain.replace(/^[.]/, '')).find(domain => HOST.test(domain));
}

function permittedDomains(pem: string): readonly string[] {
  let der: Buffer;
  try {
    der = new X509Certificate(pem).raw;
  } catch {
    return []; // the trial tells what is wrong with it
  }
  const [certificate] = elements(der);
  const [body] = inside(certificate);
  const extensions = inside(body).find(({tag}) => tag === tags.extensions);
  const [list] = inside(extensions);
  const extension = inside(list)
    .map(inside)
    .find(([oid]) => oid?.content.equals(NAME_CONSTRAINTS));
  const [constraints] = inside(extension?.at(-1));
  const permitted = inside(constraints).find(({tag}) => tag === tags.permitted);
  return inside(permitted).flatMap(subtree => {
    const [base] = inside(subtree);
    return base?.tag === tags.dnsName ? [base.content.toString('latin1')] : [];
  });
}

/** Context tags of TBSCertificate, NameConstraints and GeneralName. */
const tags = {extensions: 0xa3, permitted: 0xa0, dnsName: 0x82};

interface DerElement {
  readonly tag: number;
  readonly content: Buffer;
}

function inside(element: DerElement | undefined): readonly DerElement[] {
  return element === undefined ? [] : elements(element.content);
}

/** Elements with one-octet tags (X.690 §8.1), up to the first that is not whole. */
function elements(der: Buffer): readonly DerElement[] {
  const found: DerElement[] = [];
  for (let at = 0; at + 2 <= der.length;) {
    const [tag = 0, short = 0] = der.subarray(at, at + 2);
    const octets = short < 0x80 ? 0 : short & 0x7f;
    const begin = at + 2 + octets;
    if (short === 0x80 || octets > 4 || begin > der.length) break;
    const end = begin + (octets === 0 ? short : der.readUIntBE(at + 2, octets));
    if (end > der.length) break;
    found.push({tag, content: der.subarray(begin, end)});
    at = end;
  }
  return found;
}
