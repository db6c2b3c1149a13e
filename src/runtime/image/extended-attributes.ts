import {systemError} from '../sys/libc.ts';
import {type ByteString, setAttribute, setAttributeOfPath} from '../sys/tree.ts';
import type {ExtendedAttribute} from './pax-records.ts';

/** Says to overlayfs that a directory hides what lower layers have in it. */
export const OPAQUE_ATTRIBUTE: ExtendedAttribute = {
  name: 'trusted.overlay.opaque',
  value: Buffer.from('y'),
};

// What overlayfs believes must come from us: a redirect could show another part of the host's layers.
const OVERLAY_PREFIXES = ['trusted.overlay.', 'user.overlay.'];
const EPERM = -1;
const ENOTSUP = -95;

/** Whether an attribute of an archive or a lower layer may be put on a file of ours. */
export function isSettable({name}: ExtendedAttribute): boolean {
  return !OVERLAY_PREFIXES.some(prefix => name.startsWith(prefix));
}

/** Sets attributes on an open file; those that the file system does not know are left out. */
export function setAttributes(fd: number, attributes: readonly ExtendedAttribute[]): void {
  for (const {name, value} of attributes) check(name, setAttribute(fd, name, value));
}

/** The same for a link or a device, which cannot be opened. */
export function setAttributesOfPath(
  path: ByteString,
  attributes: readonly ExtendedAttribute[],
): void {
  for (const {name, value} of attributes) check(name, setAttributeOfPath(path, name, value));
}

function check(name: ByteString, result: number): void {
  if (result >= 0 || result === ENOTSUP) return;
  // Without the module, a label of another machine's policy is neither wanted nor allowed.
  if (result === EPERM && (name === 'security.selinux' || name === 'security.ima')) return;
  throw systemError('setxattr', -result, name);
}
