import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {CodedError, isErrno, messageOf} from '#shared/errors';
import type {RuntimeErrorCode} from '../../errors.ts';
import type {Log} from '#shared/log';
import {mergeRegistriesConf, parseRegistriesConf, type RegistriesConf} from './registries-conf.ts';

const FILE_BYTES_MAX = 1024 * 1024;
const DROP_INS_MAX = 100;

/**
 * Reads `registries.conf` and the `*.conf` of the folder `registries.conf.d` beside it in the order
 * of their names. Files that are not there say nothing.
 *
 * @throws CodedError ERR_REGISTRIES_CONF_INVALID
 */
export async function loadRegistries(path: string, log: Log): Promise<RegistriesConf> {
  const folder = `${path}.d`;
  const names = (await unlessMissing(readdir(folder), folder)) ?? [];
  const dropIns = names.filter(name => name.endsWith('.conf')).sort();
  if (dropIns.length > DROP_INS_MAX) throw unreadable(folder, `it has ${dropIns.length} files`);
  const files = [];
  for (const file of [path, ...dropIns.map(name => join(folder, name))]) {
    const text = await unlessMissing(readFile(file, 'utf8'), file);
    if (text === undefined) continue;
    if (text.length > FILE_BYTES_MAX) throw unreadable(file, `it has ${text.length} characters`);
    const {conf, unknownKeys} = parseRegistriesConf(text, file);
    for (const key of unknownKeys) {
      log.once(`registries-conf ${file} ${key}`, 'unknown key in registries.conf', {file, key});
    }
    files.push(conf);
  }
  return mergeRegistriesConf(files, path);
}

async function unlessMissing<T>(reading: Promise<T>, path: string): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw unreadable(path, messageOf(error));
  }
}

function unreadable(path: string, reason: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_REGISTRIES_CONF_INVALID', `cannot read ${path}: ${reason}`, {
    hint: 'mend the file, or remove it',
  });
}
