import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';

/** Who the container's first process runs as. */
export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** The primary group first, then the image's groups, then the pod's; each once. */
  readonly additionalGids: readonly number[];
}

export interface UserRequest {
  /** CRI run_as_user, run_as_group, run_as_username of the container's security context. */
  readonly runAsUser?: bigint | undefined;
  readonly runAsGroup?: bigint | undefined;
  readonly runAsUsername?: string | undefined;
  readonly supplementalGroups: readonly bigint[];
  /** True for SupplementalGroupsPolicy Strict: groups of the image do not count. */
  readonly strictGroups: boolean;
  /** USER of the image's configuration: `name`, `uid`, each with `:group` or `:gid`. */
  readonly imageUser: string;
  /** /etc/passwd and /etc/group of the mounted root file system; empty when absent. */
  readonly passwd: string;
  readonly group: string;
}

/** Largest id that the kernel's users of a signed 32-bit number take. */
const ID_MAX = 2_147_483_647;

/**
 * Finds uid, gid and groups as the CRI reference does: user name before uid before the image's
 * USER; the group from the request, else from the image's USER, else from passwd, else 0. Digits
 * are an id, whatever names the image has.
 * @throws CodedError ERR_USER_INVALID for a name that the image does not know, an id out of range,
 *   or a group without a user.
 */
export function resolveUser(request: UserRequest): ResolvedUser {
  const passwd = parsePasswd(request.passwd);
  const groups = parseGroup(request.group);
  const {user, group} = namedUser(request);
  const account = findAccount(user, passwd);
  const gid = group === '' ? (account.gid ?? 0) : findGroup(group, groups);
  const fromImage = request.strictGroups
    ? []
    : groups.filter(({members}) => account.name !== undefined && members.includes(account.name));
  return {
    uid: account.uid,
    gid,
    additionalGids: [
      ...new Set([
        gid,
        ...fromImage.map(entry => entry.gid),
        ...request.supplementalGroups.map(id => checkedId(id.toString(), 'supplemental group')),
      ]),
    ],
  };
}

function namedUser(request: UserRequest): {readonly user: string; readonly group: string} {
  const {runAsUser, runAsGroup, runAsUsername = '', imageUser} = request;
  const [imageName = '', imageGroup = ''] = imageUser.split(':', 2);
  const group = runAsGroup?.toString();
  if (runAsUsername !== '') return {user: runAsUsername, group: group ?? ''};
  if (runAsUser !== undefined) return {user: runAsUser.toString(), group: group ?? ''};
  // The reference refuses a group whose user nobody named; an image's USER names one.
  if (group !== undefined && imageName === '') {
    throw invalid('run_as_group is set without a user', 'set runAsUser too, or drop runAsGroup');
  }
  return {user: imageName === '' ? '0' : imageName, group: group ?? imageGroup};
}

interface Account {
  readonly name?: string;
  readonly uid: number;
  readonly gid?: number;
}

function findAccount(user: string, passwd: readonly PasswdEntry[]): Account {
  if (isNumber(user)) {
    const uid = checkedId(user, 'user');
    return passwd.find(entry => entry.uid === uid) ?? {uid};
  }
  const named = passwd.find(entry => entry.name === user);
  if (named !== undefined) return named;
  throw invalid(
    `the image has no user ${JSON.stringify(user)} in /etc/passwd`,
    'set runAsUser to a number, or use an image that knows the name',
  );
}

function findGroup(group: string, groups: readonly GroupEntry[]): number {
  if (isNumber(group)) return checkedId(group, 'group');
  const named = groups.find(entry => entry.name === group);
  if (named !== undefined) return named.gid;
  throw invalid(
    `the image has no group ${JSON.stringify(group)} in /etc/group`,
    'set runAsGroup to a number, or use an image that knows the name',
  );
}

/**
 * A number is an id and never a name, as in runc's `user.go`: by an account that is called `1000`
 * an image would make root of the 1000 that a pod asks for (CVE-2016-3697).
 */
function isNumber(text: string): boolean {
  return /^-?\d+$/.test(text);
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/** name:password:uid:gid:gecos:home:shell (passwd(5)); malformed lines are skipped, as libc does. */
function parsePasswd(text: string): readonly PasswdEntry[] {
  return entriesOf(text).flatMap(([name = '', , uid = '', gid = '']) =>
    isId(uid) && isId(gid) ? [{name, uid: Number(uid), gid: Number(gid)}] : [],
  );
}

/** name:password:gid:member,member (group(5)). */
function parseGroup(text: string): readonly GroupEntry[] {
  return entriesOf(text).flatMap(([name = '', , gid = '', members = '']) =>
    isId(gid) ? [{name, gid: Number(gid), members: members.split(',')}] : [],
  );
}

function entriesOf(text: string): readonly (readonly string[])[] {
  return text
    .split('\n')
    .filter(line => line !== '' && !line.startsWith('#'))
    .map(line => line.split(':').map(field => field.trim()))
    .filter(([name]) => name !== '');
}

function isId(text: string): boolean {
  return /^\d{1,10}$/.test(text) && Number(text) <= ID_MAX;
}

function checkedId(text: string, what: string): number {
  if (isId(text)) return Number(text);
  throw invalid(`${what} id ${text} is not in 0..${ID_MAX}`, 'use an id in that range');
}

function invalid(message: string, hint: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_USER_INVALID', message, {hint});
}
