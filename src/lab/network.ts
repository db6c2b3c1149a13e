// The lab's network:
//
//   machine: slipway0 .1 ──┐
//   slipway-site: eth0 .2 ─┼── bridge slipway0 in slipway-net (a switch, and nothing else)
//   slipway-hN: eth0 .10+N ┘
//
// The switch has a namespace of its own, so the machine's packet filter sees no frame between hosts.
// Hosts route to the site, which has no way out: no packet of theirs leaves the lab.
import {existsSync} from 'node:fs';
import {readdir} from 'node:fs/promises';
import {networkInterfaces} from 'node:os';
import {join} from 'node:path';
import {MACHINE_ADDRESS, refuseForeignAddresses, SITE_ADDRESS} from './addresses.ts';
import {machineCommand} from './machine-command.ts';
import {labNames} from './names.ts';

const NETNS_FOLDER = '/run/netns';
const LAST_SITE_SETTING = {name: 'net.ipv4.icmp_ratelimit', value: '0'};
const LAB_NETNS = /^slipway-(net|site|h\d+)$/;
const {bridge, machinePort, siteNetns, switchNetns, port} = labNames;

/**
 * Makes the switch, the machine's interface and the site's namespace, unless they are there whole:
 * of what was interrupted on its way nothing is kept.
 *
 * @throws CodedError `ERR_LAB_ADDRESS_IN_USE`
 */
export async function ensureNetwork(signal: AbortSignal): Promise<void> {
  refuseForeignAddresses(machineAddresses(), bridge);
  if (!(await isSwitchWhole(signal))) {
    await removeMachineInterface(signal);
    await removeNetns(switchNetns, signal);
    await removeNetns(siteNetns, signal); // its cable ended with the switch
    await makeSwitch(signal);
  }
  if (await isSiteWhole(signal)) return;
  await removeNetns(siteNetns, signal);
  await removeCable('site', signal);
  await makeSite(signal);
}

/** Takes a cable out of the switch, or puts it back; `name` is a host's, or `site`. */
export async function setCable(
  name: string,
  state: 'up' | 'down',
  signal: AbortSignal,
): Promise<void> {
  await ip(['-netns', switchNetns, 'link', 'set', port(name), state], signal);
}

/** True when the cable exists and is plugged in. */
export async function isCableUp(name: string, signal: AbortSignal): Promise<boolean> {
  if (!hasNetns(switchNetns)) return false;
  const links = await switchLinks(signal);
  return links.some(({ifname, flags}) => ifname === port(name) && flags?.includes('UP') === true);
}

/** Removes a host's namespace and cable, which its supervisor does unless it was killed. */
export async function removeHostNetwork(host: string, signal: AbortSignal): Promise<void> {
  await removeNetns(labNames.hostNetns(host), signal);
}

/** Removes everything that {@link ensureNetwork} made, and the namespaces of hosts that were left. */
export async function removeNetwork(signal: AbortSignal): Promise<void> {
  // Deleting one end of a cable deletes the other at once; a namespace takes its time.
  await removeMachineInterface(signal);
  for (const name of await labNamespaces()) await removeNetns(name, signal);
}

/** Names of all network namespaces that are the lab's. */
export async function labNamespaces(): Promise<readonly string[]> {
  const names = await readdir(NETNS_FOLDER).catch(() => []); // no namespace was ever made
  return names.filter(name => LAB_NETNS.test(name));
}

export function hasNetns(name: string): boolean {
  return existsSync(join(NETNS_FOLDER, name));
}

interface Link {
  readonly ifname?: string;
  readonly flags?: readonly string[];
  /** The switch that it is plugged into. */
  readonly master?: string;
}

async function switchLinks(signal: AbortSignal): Promise<readonly Link[]> {
  const text = await ip(['-netns', switchNetns, '-json', 'link', 'show'], signal);
  return JSON.parse(text) as readonly Link[];
}

/** What {@link makeSwitch} does last is done, and the machine's end has its address. */
async function isSwitchWhole(signal: AbortSignal): Promise<boolean> {
  if (!hasNetns(switchNetns)) return false;
  const own = networkInterfaces()[bridge] ?? [];
  if (!own.some(({address}) => address === MACHINE_ADDRESS)) return false;
  const links = await switchLinks(signal);
  return links.some(({ifname, master}) => ifname === machinePort && master === bridge);
}

async function makeSwitch(signal: AbortSignal): Promise<void> {
  await ip(['netns', 'add', switchNetns], signal);
  await batch(switchNetns, signal, [`link add ${bridge} type bridge`, `link set ${bridge} up`]);
  await batch(undefined, signal, [
    `link add ${bridge} type veth peer name ${machinePort} netns ${switchNetns}`,
    `address add ${MACHINE_ADDRESS}/24 dev ${bridge}`,
    `link set ${bridge} up`,
  ]);
  await batch(switchNetns, signal, [`link set ${machinePort} master ${bridge} up`]);
}

/** The setting that {@link makeSite} writes last has its value. */
async function isSiteWhole(signal: AbortSignal): Promise<boolean> {
  if (!hasNetns(siteNetns)) return false;
  const read = ['netns', 'exec', siteNetns, 'sysctl', '-n', LAST_SITE_SETTING.name];
  return (await ip(read, signal)).trim() === LAST_SITE_SETTING.value;
}

async function makeSite(signal: AbortSignal): Promise<void> {
  await ip(['netns', 'add', siteNetns], signal);
  await batch(switchNetns, signal, [
    `link add ${port('site')} type veth peer name eth0 netns ${siteNetns}`,
    `link set ${port('site')} master ${bridge} up`,
  ]);
  await batch(siteNetns, signal, [
    'link set lo up',
    `address add ${SITE_ADDRESS}/24 dev eth0`,
    'link set eth0 up',
  ]);
  // A router without a route answers "network unreachable", and a closed port "refused": at once and
  // every time, where silence would cost hosts a time-out for every look at the outside.
  const {name, value} = LAST_SITE_SETTING;
  const settings = ['net.ipv4.ip_forward=1', `${name}=${value}`];
  await ip(['netns', 'exec', siteNetns, 'sysctl', '-qw', ...settings], signal);
}

async function removeNetns(name: string, signal: AbortSignal): Promise<void> {
  if (hasNetns(name)) await ip(['netns', 'delete', name], signal);
}

async function removeMachineInterface(signal: AbortSignal): Promise<void> {
  // Not by networkInterfaces(), which leaves out what has no address yet.
  if (existsSync(join('/sys/class/net', bridge))) await ip(['link', 'delete', bridge], signal);
}

async function removeCable(name: string, signal: AbortSignal): Promise<void> {
  const isThere = (await switchLinks(signal)).some(({ifname}) => ifname === port(name));
  if (isThere) await ip(['-netns', switchNetns, 'link', 'delete', port(name)], signal);
}

function ip(args: readonly string[], signal: AbortSignal): Promise<string> {
  return machineCommand(['ip', ...args], {signal});
}

async function batch(
  netns: string | undefined,
  signal: AbortSignal,
  lines: readonly string[],
): Promise<void> {
  const where = netns === undefined ? [] : ['-netns', netns];
  await machineCommand(['ip', ...where, '-batch', '-'], {signal, input: `${lines.join('\n')}\n`});
}

function machineAddresses(): readonly {readonly interfaceName: string; readonly address: string}[] {
  return Object.entries(networkInterfaces()).flatMap(([interfaceName, addresses = []]) =>
    addresses.map(({address}) => ({interfaceName, address})),
  );
}
