import {existsSync} from 'node:fs';
import {mkdir, writeFile} from 'node:fs/promises';
import {release} from 'node:os';
import {join} from 'node:path';
import {hasCommand, run} from '#shared/local-process';
import {machineCommand} from '../machine-command.ts';

/** What nodes load or look for; hosts share the machine's kernel and cannot load modules. */
const MODULES: readonly string[] = [
  'fs/overlayfs/overlay', 'fs/fuse/fuse', 'net/bridge/bridge', 'net/bridge/br_netfilter',
  'net/netfilter/nf_conntrack', 'net/netfilter/nf_conntrack_netlink', 'net/netfilter/nf_nat',
  'net/netfilter/nf_tables', 'net/netfilter/x_tables', 'net/netfilter/xt_set',
  'net/netfilter/ipset/ip_set', 'net/ipv4/netfilter/ip_tables', 'net/ipv6/netfilter/ip6_tables',
  'net/ipv4/netfilter/iptable_filter', 'net/ipv4/netfilter/iptable_mangle',
  'net/ipv4/netfilter/iptable_nat', 'drivers/net/vxlan/vxlan', 'drivers/net/veth',
  'drivers/net/tun', 'drivers/block/loop',
]; // prettier-ignore

/**
 * Loads the modules on the machine where they are not built in, and declares them as built in to
 * the hosts, so that `modprobe br_netfilter` succeeds there and a missing module still fails.
 */
export async function ensureKernelModules(base: string, signal: AbortSignal): Promise<void> {
  const folder = join(base, 'usr', 'lib', 'modules', release());
  const names = MODULES.map(path => path.slice(path.lastIndexOf('/') + 1));
  // A kernel that has them built in may have no modules folder at all: a failure says nothing.
  if (hasCommand('modprobe')) await run(['modprobe', '--all', '--quiet', ...names], {signal});
  if (existsSync(join(folder, 'modules.builtin.bin'))) return;
  await mkdir(folder, {recursive: true});
  await writeFile(
    join(folder, 'modules.builtin'),
    MODULES.map(path => `kernel/${path}.ko\n`).join(''),
  );
  await writeFile(join(folder, 'modules.order'), '');
  await machineCommand(['chroot', base, 'depmod', release()], {signal});
}
