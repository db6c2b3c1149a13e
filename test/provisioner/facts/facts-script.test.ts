import {execFileSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import test from 'ava';
import {FACTS_SCRIPT} from '#provisioner/facts/facts-script';
import {parseFacts} from '#provisioner/facts/parse-facts';
import type {Facts} from '#provisioner/role/facts';
import {shells} from '#test/folder-host';

/** What is on the host, by path: a file's text, or where a link leads. */
type Host = Readonly<Record<string, string | {readonly link: string}>>;

/** Directories of the host that are folders here; everything else is this machine's. */
const MAPPED = ['/etc/', '/lib/systemd/', '/run/', '/usr/lib/', '/usr/local/lib/', '/var/lib/etcd'];

function factsOf(host: Host, shell: string): Facts {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-facts-'));
  try {
    for (const [path, content] of Object.entries(host)) {
      const file = join(folder, path);
      mkdirSync(dirname(file), {recursive: true});
      if (typeof content === 'string') writeFileSync(file, content);
      else symlinkSync(content.link, file);
    }
    const script = MAPPED.reduce(
      (text, path) => text.replaceAll(new RegExp(`(?<![\\w/.}])${path}`, 'g'), folder + path),
      FACTS_SCRIPT,
    );
    return parseFacts(execFileSync(shell, ['-s'], {input: script, encoding: 'utf8'}));
  } finally {
    rmSync(folder, {recursive: true});
  }
}

const reads = test.macro((t, host: Host, expected: (facts: Facts) => unknown, value: unknown) => {
  for (const shell of shells) t.deepEqual(expected(factsOf(host, shell)), value, shell);
});

test(
  'network configurations are the files that a runtime reads',
  reads,
  {
    '/etc/cni/net.d/10-calico.conflist': '{}',
    '/etc/cni/net.d/10-flannel.conflist': '{}',
    '/etc/cni/net.d/05-old.conf': '{}',
    '/etc/cni/net.d/20-other.json': '{}',
    '/etc/cni/net.d/calico-kubeconfig': '',
    '/etc/cni/net.d/10-calico.conflist.disabled': '',
    '/etc/cni/net.d/directory.conf/file': '',
  },
  ({existing}: Facts) => existing.networkFiles.toSorted(),
  ['05-old.conf', '10-calico.conflist', '10-flannel.conflist', '20-other.json'],
);
test(
  'a host without /etc/cni has none',
  reads,
  {},
  ({existing}: Facts) => existing.networkFiles,
  [],
);
