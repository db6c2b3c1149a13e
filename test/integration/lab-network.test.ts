/**
 * The lab's network in a network namespace of the test's own, with a /run of its own: the machine's
 * lab and its namespaces are out of sight. Needs root.
 */
import {pathToFileURL} from 'node:url';
import {join} from 'node:path';
import test from 'ava';
import {run} from '#shared/local-process';

const NETWORK = pathToFileURL(join(import.meta.dirname, '../../src/lab/network.ts')).href;
const ENSURE = `import {ensureNetwork} from '${NETWORK}';
await ensureNetwork(AbortSignal.timeout(60_000));`;
/** The site's port 9 is closed: who refuses is reached. */
const REACH = `import {connect} from 'node:net';
connect({host: '10.89.0.2', port: 9, timeout: 3000})
  .on('error', ({code}) => console.log(code))
  .on('timeout', function () { console.log('silence'); this.destroy(); });`;
const {signal} = new AbortController();

/** Runs shell lines in a fresh machine without a lab; $ENSURE and $REACH are programs for node. */
async function onFreshMachine(script: string): Promise<string> {
  const prepare = 'mount -t tmpfs tmpfs /run && mount -t sysfs sysfs /sys && mkdir /run/netns';
  const node = `node() { ${process.execPath} --input-type=module --eval "$1"; }`;
  const argv = ['unshare', '--net', '--mount', '--propagation', 'private', 'sh', '-euc'];
  const {exitCode, stdout, stderr} = await run([...argv, `${prepare}; ${node}\n${script}`], {
    signal,
    env: {ENSURE, REACH},
  });
  if (exitCode !== 0) throw new Error(`${script}: ${stderr}`);
  return stdout;
}

const interrupted = {
  'before anything': '',
  'with an empty namespace of the switch': 'ip netns add slipway-net',
  "with the machine's cable and no address": `ip netns add slipway-net
ip -netns slipway-net link add slipway0 type bridge
ip link add slipway0 type veth peer name slw-machine netns slipway-net`,
  "with the machine's cable not in the switch":
    'node "$ENSURE"; ip -netns slipway-net link set slw-machine nomaster',
  'with an empty namespace of the site':
    'node "$ENSURE"; ip netns delete slipway-site; ip netns add slipway-site',
  'with a site without an address': `node "$ENSURE"
ip netns exec slipway-site sysctl -qw net.ipv4.icmp_ratelimit=1000
ip -netns slipway-site address flush dev eth0`,
};

for (const [when, script] of Object.entries(interrupted)) {
  test(`a network that was interrupted ${when} is made whole by the next run`, async t => {
    t.is(await onFreshMachine(`${script}\nnode "$ENSURE"\nnode "$REACH"`), 'ECONNREFUSED\n');
  });
}

test('a whole network is left as it is', async t => {
  const list = 'ip link show slipway0; ip netns list; ip -netns slipway-net link show slw-site';
  const seen = await onFreshMachine(`node "$ENSURE"; ${list}; echo ---; node "$ENSURE"; ${list}`);
  const [before = '', after] = seen.split('---\n');
  t.regex(before, /slw-site/);
  t.is(after, before);
});
