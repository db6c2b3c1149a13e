/**
 * RC2 in CBC mode (RFC 2268), for the oldest profile of PKCS#12 only: 40 bits protect nothing.
 *
 * Written here because OpenSSL 3 has moved it to a provider that Node does not load.
 * @param key 1 to 128 octets; its whole length is its effective length
 * @param iv 8 octets
 */
export function encryptRc2Cbc({key, iv}: Rc2Input, plaintext: Uint8Array): Buffer {
  const schedule = expandKey(key);
  const padding = BLOCK_OCTETS - (plaintext.byteLength % BLOCK_OCTETS); // PKCS#7
  const output = Buffer.concat([plaintext, Buffer.alloc(padding, padding)]);
  let previous: Uint8Array = iv;
  for (let start = 0; start < output.length; start += BLOCK_OCTETS) {
    const block = output.subarray(start, start + BLOCK_OCTETS);
    for (let i = 0; i < BLOCK_OCTETS; i++) block[i] = (block[i] ?? 0) ^ (previous[i] ?? 0);
    encryptBlock(schedule, block);
    previous = block;
  }
  return output;
}

export interface Rc2Input {
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
}

const BLOCK_OCTETS = 8;

/** RFC 2268 §2: 64 words of 16 bits out of a key of T octets, T1 = 8 T effective bits. */
function expandKey(key: Uint8Array): Uint16Array {
  const length = key.byteLength;
  const octets = new Uint8Array(128);
  octets.set(key);
  for (let i = length; i < 128; i++) {
    octets[i] = at(piTable, (at(octets, i - 1) + at(octets, i - length)) & 0xff);
  }
  octets[128 - length] = at(piTable, at(octets, 128 - length));
  for (let i = 127 - length; i >= 0; i--) {
    octets[i] = at(piTable, at(octets, i + 1) ^ at(octets, i + length));
  }
  return Uint16Array.from({length: 64}, (_, i) => at(octets, 2 * i) + 256 * at(octets, 2 * i + 1));
}

const MIXES_PER_ROUND = [5, 6, 5] as const;
const ROTATIONS = [1, 2, 3, 5] as const;

/** RFC 2268 §3: 5 mixing rounds, a mash, 6, a mash, 5; in place. */
function encryptBlock(schedule: Uint16Array, block: Uint8Array): void {
  const r = Uint16Array.from({length: 4}, (_, i) => at(block, 2 * i) + 256 * at(block, 2 * i + 1));
  let used = 0;
  MIXES_PER_ROUND.forEach((mixes, round) => {
    if (round > 0) mash(schedule, r);
    for (let mix = 0; mix < mixes; mix++) {
      for (let i = 0; i < 4; i++) {
        const before = at(r, (i + 3) & 3);
        const chosen = (before & at(r, (i + 2) & 3)) + (~before & 0xffff & at(r, (i + 1) & 3));
        const sum = (at(r, i) + at(schedule, used++) + chosen) & 0xffff;
        const rotation = at(ROTATIONS, i);
        r[i] = (sum << rotation) | (sum >>> (16 - rotation));
      }
    }
  });
  r.forEach((word, i) => {
    block[2 * i] = word & 0xff;
    block[2 * i + 1] = word >>> 8;
  });
}

function mash(schedule: Uint16Array, r: Uint16Array): void {
  for (let i = 0; i < 4; i++) r[i] = at(r, i) + at(schedule, at(r, (i + 3) & 3) & 63);
}

/** The index is in range by construction; the type system cannot know. */
function at(list: ArrayLike<number>, index: number): number {
  return list[index] ?? 0;
}

// RFC 2268 §2, PITABLE: a permutation of 0 to 255 out of the digits of pi.
const piTable = Buffer.from(
  [
    'd978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2',
    '179a59f587b34f1361456d8d09817d32bd8f40eb86b77b0bf09521225c6b4e82',
    '54d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626',
    '6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed7',
    '08e8eade8052eef784aa72ac354d6a2a961ad2715a1549744b9fd05e0418a4ec',
    'c2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731',
    '2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a9',
    '0d38341bab33ffb0bb480c5fb9b1cd2ec5f3db47e5a59c770aa62068fe7fc1ad',
  ].join(''),
  'hex',
);
