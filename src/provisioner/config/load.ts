import {access, constants, readdir, readFile, stat} from 'node:fs/promises';
import {homedir} from 'node:os';
import {basename, dirname, extname, join, resolve} from 'node:path';
import {isErrno, messageOf} from '#shared/errors';
import {parseYaml, YamlError} from '#shared/yaml';
import type {z} from 'zod';
import type {CaKeyPair, Cluster, PackageRepository} from '../role/cluster.ts';
import {certificatesSchema} from './certificates-schema.ts';
import {checkShape, readPart, type Checked} from './check-shape.ts';
import {
  clusterSchema,
  DEFAULT_RUNTIME,
  inlineHostsSchema,
  packageRepositorySchema,
  runtimeSchema,
} from './cluster-schema.ts';
import {findKernelProblems} from './kernel-problems.ts';
import {groupSettings, hostSettings, hostsSchema, type HostSettings} from './hosts-schema.ts';
import {resolveGroups, resolveInlineHosts, type Inventory, type VarsFile} from './inventory.ts';
import {
  ConfigurationError,
  problemAt,
  problemOf,
  type ConfigDocument,
  type Problem,
  type Source,
} from './problem.ts';
import {
  findCertificateProblems,
  type NamedSecret,
  readKeyPairs,
  toCertificates,
} from './resolve-certificates.ts';
import {findNetworkProblems, toCluster, type ClusterFile} from './resolve-cluster.ts';
import {resolveHosts, resolvePath} from './resolve-hosts.ts';
import {path} from './scalars.ts';

export interface LoadOptions {
  /** Path of cluster.yaml; messages name it as it is given here. */
  readonly file: string;
  /** Where `~` leads; default: home of the user who runs the program. */
  readonly homeDirectory?: string;
  /**
   * Whether keys of issuers are read and checked; default true. Commands that make no issuer need
   * none: such a key may live on another machine.
   */
  readonly secrets?: boolean;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly now?: Date;
}

/**
 * Reads cluster.yaml, the inventory and the files they name, and checks all of it. Touches no
 * network and changes nothing.
 *
 * @throws ConfigurationError with every problem at once
 */
export async function loadCluster(options: LoadOptions): Promise<Cluster> {
  const {file, homeDirectory = homedir()} = options;
  const context: Context = {homeDirectory, problems: []};
  const {secrets = true, environment = process.env, now = new Date()} = options;
  const cluster = await readDocument(context, file, clusterSchema);
  const inventory = cluster && (await loadInventory(context, file, cluster));
  const runtime =
    cluster && readPart(cluster.checked, runtimeSchema.prefault({}), ['spec', 'runtime']);
  const defaults = {
    homeDirectory,
    privateKeyPaths: await findDefaultKeys(homeDirectory),
    runtime: runtime?.name ?? DEFAULT_RUNTIME,
  };
  const resolved = inventory && resolveHosts(inventory, defaults);
  context.problems.push(...(inventory?.problems ?? []), ...(resolved?.problems ?? []));
  for (const key of resolved?.privateKeys ?? []) await checkPrivateKey(context, key);
  if (cluster && resolved) context.problems.push(...findNetworkProblems(cluster, resolved.hosts));
  if (cluster) context.problems.push(...findKernelProblems(cluster));
  const packageRepository = cluster && (await readPackageRepository(context, cluster));
  const keyPairs = cluster && (await loadIssuers(context, cluster, {secrets, environment, now}));
  const document = cluster?.checked.value;
  if (context.problems.length > 0 || document === undefined || resolved === undefined) {
    throw new ConfigurationError(context.problems);
  }
  const directory = resolve(dirname(file));
  const certificates = toCertificates(document.spec.certificates, {
    clusterName: document.metadata.name,
    keyPairs: keyPairs ?? new Map<number, CaKeyPair>(),
  });
  return toCluster({document, directory, hosts: resolved.hosts, packageRepository, certificates});
}

/** Far more than 2,000 hosts need; a larger file is not one of ours. */
const FILE_SIZE_BYTES_MAX = 1024 * 1024;

interface Context {
  readonly homeDirectory: string;
  /** Whatever is found to be wrong is added here, and reading goes on. */
  readonly problems: Problem[];
}

async function loadInventory(
  context: Context,
  file: string,
  cluster: ClusterFile,
): Promise<Inventory | undefined> {
  const isWritten = (key: string) => cluster.document.positionOf(['spec', key]) !== undefined;
  const beside = join(dirname(file), 'hosts.yaml');
  if (isWritten('hosts')) {
    await refuseSecondInventory(context, cluster, beside);
    const hosts = readPart(cluster.checked, inlineHostsSchema, ['spec', 'hosts']);
    return hosts && resolveInlineHosts(hosts, cluster);
  }
  const named = readPart(cluster.checked, path, ['spec', 'inventory']);
  if (isWritten('inventory') && named === undefined) return undefined;
  const hostsFile = named === undefined ? beside : atFile(named, file, context.homeDirectory);
  const hosts = await readDocument(context, hostsFile, hostsSchema, {
    ...(named !== undefined && {namedBy: {...cluster, path: ['spec', 'inventory']}}),
    missingHint:
      'write it, or name another file in spec.inventory, or list the hosts in spec.hosts',
  });
  const directory = dirname(hostsFile);
  const groupVars = await readVars(context, join(directory, 'group_vars'), groupSettings);
  const hostVars = await readVars(context, join(directory, 'host_vars'), hostSettings);
  if (hosts?.checked.value === undefined) return undefined;
  return resolveGroups({hosts, groupVars, hostVars});
}

/** The path as messages name it: relative to the working directory if cluster.yaml is. */
function atFile(path: string, file: string, homeDirectory: string): string {
  return /^[~/]/.test(path) ? resolvePath(path, file, homeDirectory) : join(dirname(file), path);
}

async function refuseSecondInventory(
  {problems}: Context,
  cluster: ClusterFile,
  beside: string,
): Promise<void> {
  const written = cluster.document.positionOf(['spec', 'inventory']) && 'spec.inventory';
  const directory = dirname(beside);
  const candidates = [beside, join(directory, 'group_vars'), join(directory, 'host_vars')];
  const found = [];
  for (const path of candidates) if (await exists(path)) found.push(path);
  const second = written ?? found[0];
  if (second === undefined) return;
  problems.push(
    problemAt(
      {...cluster, path: ['spec', 'hosts']},
      {
        code: 'ERR_CONFIG_TWO_INVENTORIES',
        message: `hosts are listed here, and there is ${second} too`,
        hint: 'keep one of them',
      },
    ),
  );
}

interface ReadOptions {
  /** The value that names the file; problems of a missing file are reported there. */
  readonly namedBy?: Source;
  readonly missingHint?: string;
}

/** A YAML file, compared with its schema; undefined when there is none to compare. */
async function readDocument<T>(
  context: Context,
  file: string,
  schema: z.ZodType<T>,
  options: ReadOptions = {},
): Promise<(ConfigDocument & {readonly checked: Checked<T>}) | undefined> {
  const text = await readText(context, file, options);
  if (text === undefined) return undefined;
  try {
    const document = parseYaml(text, {file});
    const checked = checkShape(schema, {file, document});
    context.problems.push(...checked.problems);
    return {file, document, checked};
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    const {code, position, reason, hint} = error;
    context.problems.push({code, file, ...position, path: '', message: reason, hint});
    return undefined;
  }
}

async function readText(
  {problems}: Context,
  file: string,
  {namedBy, missingHint = 'check the path'}: ReadOptions,
): Promise<string | undefined> {
  const report = (problem: Parameters<typeof problemOf>[1]) => {
    problems.push(namedBy ? problemAt(namedBy, problem) : problemOf(file, problem));
  };
  try {
    const {size} = await stat(file);
    if (size <= FILE_SIZE_BYTES_MAX) {
      return new TextDecoder('utf-8', {fatal: true}).decode(await readFile(file));
    }
    const message = `${file} has ${size} bytes, expected at most ${FILE_SIZE_BYTES_MAX}`;
    report({code: 'ERR_CONFIG_FILE_UNREADABLE', message, hint: 'check the path'});
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      const message = `there is no file ${resolve(file)}`;
      report({code: 'ERR_CONFIG_FILE_MISSING', message, hint: missingHint});
    } else {
      const isText = !(error instanceof TypeError);
      const message = isText ? `cannot be read: ${messageOf(error)}` : 'expected a text in UTF-8';
      report({code: 'ERR_CONFIG_FILE_UNREADABLE', message, hint: 'check path and permissions'});
    }
  }
  return undefined;
}

/** All files of `group_vars/` or `host_vars/`; none if there is no such directory. */
async function readVars(
  context: Context,
  directory: string,
  schema: z.ZodType<HostSettings>,
): Promise<readonly VarsFile[]> {
  const files: VarsFile[] = [];
  for (const entry of await listDirectory(context, directory)) {
    const [file, extension] = [join(directory, entry), extname(entry)];
    const name = basename(entry, extension);
    if (entry.startsWith('.') || extension === '.md') continue;
    if (!['.yaml', '.yml'].includes(extension) || files.some(other => other.name === name)) {
      const message = 'expected one file NAME.yaml for each group or host, and nothing else';
      const hint = 'rename, join or remove it';
      context.problems.push(problemOf(file, {code: 'ERR_CONFIG_FILE_UNREADABLE', message, hint}));
      continue;
    }
    const vars = await readDocument(context, file, schema.nullable());
    if (vars) files.push({...vars, name});
  }
  return files;
}

async function listDirectory({problems}: Context, directory: string): Promise<readonly string[]> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    const message = `cannot be read as a directory: ${messageOf(error)}`;
    const hint = 'check path and permissions';
    problems.push(problemOf(directory, {code: 'ERR_CONFIG_FILE_UNREADABLE', message, hint}));
    return [];
  }
}

/** The keys that ssh(1) would find by itself and that we can read; the agent's come first anyway. */
async function findDefaultKeys(homeDirectory: string): Promise<readonly string[]> {
  const path = join(homeDirectory, '.ssh', 'id_ed25519');
  return (await exists(path)) ? [path] : [];
}

/** What ssh(1) demands of a private key: it is there, and nobody else can read it. */
async function checkPrivateKey(
  {problems}: Context,
  {path, source}: {readonly path: string; readonly source: Source},
): Promise<void> {
  const report = (problem: Parameters<typeof problemOf>[1]) => {
    problems.push(problemAt(source, problem));
  };
  try {
    const status = await stat(path);
    if (!status.isFile()) {
      const message = `the private key ${path} is not a file`;
      report({code: 'ERR_CONFIG_FILE_UNREADABLE', message, hint: 'check the path'});
      return;
    }
    await access(path, constants.R_OK);
    if ((status.mode & 0o077) === 0) return;
    const mode = (status.mode & 0o777).toString(8);
    const message = `the private key ${path} has mode ${mode}: others may use it`;
    report({code: 'ERR_CONFIG_KEY_PERMISSIONS', message, hint: `chmod 600 ${path}`});
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      const message = `there is no private key ${path}`;
      report({code: 'ERR_CONFIG_FILE_MISSING', message, hint: 'check the path'});
    } else {
      const message = `the private key ${path} cannot be read: ${messageOf(error)}`;
      report({code: 'ERR_CONFIG_FILE_UNREADABLE', message, hint: 'check path and permissions'});
    }
  }
}

async function readPackageRepository(
  context: Context,
  cluster: ClusterFile,
): Promise<PackageRepository | undefined> {
  const place = ['spec', 'os', 'packageRepository'];
  const written = readPart(cluster.checked, packageRepositorySchema, place);
  if (written === undefined) return undefined;
  const {publicKeyFile, ...repository} = written;
  const namedBy = {...cluster, path: [...place, 'publicKeyFile']};
  const file = atFile(publicKeyFile, cluster.file, context.homeDirectory);
  const publicKey = await readText(context, file, {namedBy});
  if (publicKey === undefined) return undefined;
  if (!publicKey.includes('-----BEGIN PGP PUBLIC KEY BLOCK-----')) {
    const message = `${file} holds no ASCII-armoured public key`;
    const hint = 'write it with "gpg --armor --export KEY"';
    context.problems.push(problemAt(namedBy, {code: 'ERR_CONFIG_VALUE', message, hint}));
  }
  return {...repository, publicKey};
}

type SecretOptions = Required<Pick<LoadOptions, 'secrets' | 'environment' | 'now'>>;

/** What is wrong with issuers is added to the problems; their key pairs by index. */
async function loadIssuers(
  context: Context,
  cluster: ClusterFile,
  {secrets, environment, now}: SecretOptions,
): Promise<ReadonlyMap<number, CaKeyPair>> {
  const place = ['spec', 'certificates'];
  const written = readPart(cluster.checked, certificatesSchema.prefault({}), place);
  if (written === undefined) return new Map();
  context.problems.push(...findCertificateProblems(cluster, written));
  if (!secrets) return new Map();
  return await readKeyPairs(cluster, written, {
    read: secret => readSecret(context, cluster, {secret, environment}),
    now,
    report: problem => context.problems.push(problem),
  });
}

async function readSecret(
  context: Context,
  cluster: ClusterFile,
  {
    secret: {reference, path, isPrivate},
    environment,
  }: {readonly secret: NamedSecret} & Pick<SecretOptions, 'environment'>,
): Promise<string | undefined> {
  const {fromEnv, fromFile} = reference;
  if ((fromEnv === undefined) === (fromFile === undefined)) return undefined; // reported already
  if (fromEnv !== undefined) {
    const value = environment[fromEnv];
    if (value !== undefined && value !== '') return value;
    const message = `the environment has no variable ${fromEnv}`;
    const hint = `export ${fromEnv} before you run the command`;
    const namedBy = {...cluster, path: [...path, 'fromEnv']};
    context.problems.push(problemAt(namedBy, {code: 'ERR_CONFIG_ENVIRONMENT', message, hint}));
    return undefined;
  }
  if (fromFile === undefined) return undefined;
  const namedBy = {...cluster, path: [...path, 'fromFile']};
  const file = atFile(fromFile, cluster.file, context.homeDirectory);
  if (!isPrivate) return await readText(context, file, {namedBy});
  const before = context.problems.length;
  await checkPrivateKey(context, {path: file, source: namedBy});
  return context.problems.length > before ? undefined : await readText(context, file, {namedBy});
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false; // what cannot be looked at cannot be used either
  }
}
