import {chmod, mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {run} from '#shared/local-process';
import {unpackDebianPackages} from '#test/debian-packages';
import {eventually} from '#test/eventually';

/** A network namespace for a daemon: its bridges and packet filter are nobody else's. */
export interface OwnNetwork extends AsyncDisposable {
  /** Path of the namespace. */
  readonly path: string;
  /** What starts a program inside. */
  readonly enter: readonly string[];
  /** Runs a command inside and gives what it printed. */
  readonly run: (argv: readonly string[]) => Promise<string>;
}

const {signal} = new AbortController();

/** @param name of the namespace, unique on the machine */
export async function ownNetwork(name: string): Promise<OwnNetwork> {
  const path = `/run/netns/${name}`;
  const enter = ['nsenter', `--net=${path}`];
  const must = async (argv: readonly string[]): Promise<string> => {
    const {exitCode, stdout, stderr} = await run(argv, {signal});
    if (exitCode !== 0) throw new Error(`${argv.join(' ')}: ${stderr}${stdout}`);
    return stdout;
  };
  await must(['ip', 'netns', 'add', name]);
  await must([...enter, 'ip', 'link', 'set', 'lo', 'up']);
  return {
    path,
    enter,
    run: argv => must([...enter, ...argv]),
    async [Symbol.asyncDispose]() {
      await must(['ip', 'netns', 'del', name]);
    },
  };
}

/**
 * Pairs of interfaces that are still in the namespace, '' for none. The kernel takes a pod's
 * namespace down, and the pairs into it, a little after its last process has gone: it is waited for.
 */
export async function leftPairs({run: runInside}: OwnNetwork): Promise<string> {
  const pairs = async () => (await runInside(['ip', '-o', 'link', 'show', 'type', 'veth'])).trim();
  await eventually(async () => (await pairs()) === '').catch(() => undefined);
  return await pairs();
}

/** As a plain node has it: a bridge with addresses of its own, and host ports. */
export function bridgeNetwork(
  folder: string,
  {bridge, subnet}: {readonly bridge: string; readonly subnet: string},
) {
  return {
    cniVersion: '1.0.0',
    name: bridge,
    plugins: [
      {
        type: 'bridge',
        bridge,
        isGateway: true,
        ipMasq: false,
        ipam: {
          type: 'host-local',
          dataDir: join(folder, 'ipam'),
          ranges: [[{subnet}]],
          routes: [{dst: '0.0.0.0/0'}],
        },
      },
      {type: 'portmap', backend: 'nftables', capabilities: {portMappings: true}},
    ],
  };
}

const PACKAGES = [
  'nftables', 'libnftables1', 'libnftnl11', 'libmnl0', 'libjansson4', 'libedit2', 'libbsd0',
  'libmd0', 'libxtables12',
]; // prettier-ignore

/**
 * Debian's nft, unpacked and not installed, for the portmap plugin.
 *
 * @returns the folder to put on PATH
 */
export async function nftFolder(folder: string): Promise<string> {
  const root = join(folder, 'root');
  const bin = join(folder, 'bin');
  await mkdir(bin, {recursive: true});
  await unpackDebianPackages(PACKAGES, {root, signal});
  const libraries = ['usr/lib', 'lib'].map(place => join(root, place, 'x86_64-linux-gnu'));
  await writeFile(
    join(bin, 'nft'),
    `#!/bin/sh\nLD_LIBRARY_PATH=${libraries.join(':')} exec ${root}/usr/sbin/nft "$@"\n`,
  );
  await chmod(join(bin, 'nft'), 0o755);
  return bin;
}
