import {CodedError} from '#shared/errors';
import type {CertificatesErrorCode} from '../errors.ts';

/** Sizes of PEM texts in bytes, as cert-manager limits them (pki `pem` limits, flags of the same names). */
export const pemLimits = {
  certificateBytesMax: 36_500,
  requestBytesMax: 36_500,
  privateKeyBytesMax: 13_000,
  chainBytesMax: 95_000,
  bundleBytesMax: 330_000,
  /** A certificate of a bundle has at least this many bytes, so this bounds the blocks too. */
  smallestBlockBytes: 300,
} as const;

export interface PemExpectation {
  /** What the text should hold, for messages: `a certificate chain`. */
  readonly what: string;
  /** Labels that are taken, e.g. `CERTIFICATE`; a block with another one is refused. */
  readonly labels: readonly string[];
  /** Labels that are passed over, e.g. `EC PARAMETERS` before a key. */
  readonly ignoredLabels?: readonly string[];
  readonly maxBytes: number;
  readonly maxBlocks: number;
}

export interface PemBlock {
  readonly label: string;
  readonly der: Buffer;
}

const boundary = /^-----(BEGIN|END) ([A-Z0-9 ]{1,60})-----$/;
const base64Line = /^[A-Za-z0-9+/]{1,2048}={0,2}$/;

/**
 * Reads the blocks of a PEM text (RFC 7468, lax about white space; text outside of blocks, such as
 * openssl's own descriptions, is passed over). At least one block.
 *
 * @throws CodedError `ERR_PEM_INVALID`, never with any of the text
 */
export function decodePem(text: string | Buffer, expected: PemExpectation): readonly Buffer[] {
  return decodePemBlocks(text, expected).map(({der}) => der);
}

/** As `decodePem`, with the labels. @throws CodedError `ERR_PEM_INVALID` */
export function decodePemBlocks(
  text: string | Buffer,
  expected: PemExpectation,
): readonly PemBlock[] {
  if (text.length > expected.maxBytes) {
    throw pemInvalid(
      expected,
      `has ${String(text.length)} bytes, more than ${String(expected.maxBytes)}`,
    );
  }
  const lines = (typeof text === 'string' ? text : text.toString('latin1')).split('\n');
  const blocks: PemBlock[] = [];
  let open: {readonly label: string; readonly lines: string[]} | undefined;
  for (const raw of lines) {
    const line = raw.trim();
    const [, edge, label] = line.startsWith('-----') ? (boundary.exec(line) ?? []) : [];
    if (edge === 'BEGIN' && label !== undefined) {
      if (open) throw pemInvalid(expected, `begins a block inside of ${open.label}`);
      open = {label, lines: []};
    } else if (edge === 'END') {
      if (open?.label !== label) throw pemInvalid(expected, 'ends a block that did not begin');
      if (open) blocks.push(...closedBlock(open, expected));
      if (blocks.length > expected.maxBlocks) {
        throw pemInvalid(expected, `has more than ${String(expected.maxBlocks)} blocks`);
      }
      open = undefined;
    } else if (open && line !== '') {
      open.lines.push(line);
    }
  }
  if (open) throw pemInvalid(expected, `has a block ${open.label} without its end`);
  if (blocks.length === 0)
    throw pemInvalid(expected, `has no block ${expected.labels.join(' or ')}`);
  return blocks;
}

function closedBlock(
  {label, lines}: {readonly label: string; readonly lines: readonly string[]},
  expected: PemExpectation,
): readonly PemBlock[] {
  if (expected.ignoredLabels?.includes(label)) return [];
  if (!expected.labels.includes(label)) throw pemInvalid(expected, `has a block ${label}`);
  if (lines.some(line => line.includes(':'))) {
    throw pemInvalid(expected, `has a block ${label} with headers, as encrypted keys have them`);
  }
  const text = lines.join('');
  const isBase64 = lines.length > 0 && text.length % 4 === 0 && isBase64Text(lines);
  if (!isBase64) throw pemInvalid(expected, `has a block ${label} that is not base64`);
  return [{label, der: Buffer.from(text, 'base64')}];
}

/** Padding may end the last line only. */
function isBase64Text(lines: readonly string[]): boolean {
  return lines.every(
    (line, i) => base64Line.test(line) && (i === lines.length - 1 || !line.endsWith('=')),
  );
}

/** One block, lines of 64 characters, with a newline at the end. */
export function encodePem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

function pemInvalid(
  {what, labels}: PemExpectation,
  found: string,
): CodedError<CertificatesErrorCode> {
  return new CodedError('ERR_PEM_INVALID', `${what}: the text ${found}`, {
    hint: `give it as PEM: -----BEGIN ${labels[0] ?? ''}-----, base64, -----END ${labels[0] ?? ''}-----`,
  });
}
