import type {ByteString} from '../sys/tree.ts';
import {layerInvalid} from './layer-invalid.ts';
import {DEPTH_MAX} from './unpack-directory.ts';

// linux/limits.h
const PATH_BYTES_MAX = 4095;
const NAME_BYTES_MAX = 255;
export const LINK_BYTES_MAX = PATH_BYTES_MAX;

/**
 * The names that a path of an archive leads through from the layer's root. `/`, `./` and `a/../b`
 * are read as every unpacker does; a path that climbs out of the root is refused.
 *
 * @returns none for the root itself
 * @throws CodedError ERR_LAYER_INVALID
 */
export function splitPath(path: ByteString): readonly ByteString[] {
  if (path.length > PATH_BYTES_MAX) throw layerInvalid(`a path is ${path.length} bytes long`);
  if (path.includes('\0')) throw layerInvalid('a path has a NUL byte');
  const names: ByteString[] = [];
  for (const name of path.split('/')) {
    if (name === '' || name === '.') continue;
    if (name === '..') {
      if (names.pop() === undefined) throw layerInvalid(`${shown(path)} leads out of the layer`);
      continue;
    }
    if (name.length > NAME_BYTES_MAX) throw layerInvalid(`a name is ${name.length} bytes long`);
    names.push(name);
  }
  if (names.length > DEPTH_MAX) throw layerInvalid(`a path is ${names.length} levels deep`);
  return names;
}

/** Whether it names an entry of a directory, and nothing else. */
export function isPlainName(name: ByteString): boolean {
  const isWord = name !== '' && name !== '.' && name !== '..' && name.length <= NAME_BYTES_MAX;
  return isWord && !name.includes('\0') && !name.includes('/');
}

/** A path as it may stand in a message. */
export function shown(path: ByteString): string {
  return JSON.stringify(Buffer.from(path.slice(0, 200), 'latin1').toString());
}
