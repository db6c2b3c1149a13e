import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {request} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {bootstrapCommand, recipeDigest, SITE_PACKAGES} from '#lab/base/recipe';
import {createFileServer, filePath} from '#lab/site/file-server';
import {formatPackages, formatRelease, poolFileName} from '#lab/site/package-repository';

const control =
  'Package: conntrack\nVersion: 1:1.4.8-2\nArchitecture: amd64\nMaintainer: someone\n';

test('an archive in the pool is named without the epoch of its version', t => {
  t.is(poolFileName(control), 'conntrack_1.4.8-2_amd64.deb');
});

test('Packages lists control fields with place, size and digest, blank lines between', t => {
  const entry = {control, fileName: 'pool/main/a.deb', sizeBytes: 12, sha256: 'ab'};
  const text = formatPackages([entry, {...entry, fileName: 'pool/main/b.deb'}]);
  const [first = '', second = '', ...others] = text.split('\n\n');
  t.is(others.length, 0);
  t.is(first, `${control}Filename: pool/main/a.deb\nSize: 12\nSHA256: ab`);
  t.true(second.includes('Filename: pool/main/b.deb'));
});

test('Release vouches for every index by size and digest, with its date in UTC', t => {
  const text = formatRelease({
    architecture: 'amd64',
    files: [{path: 'main/binary-amd64/Packages', content: 'é\n'}],
    date: new Date('2026-01-02T03:04:05Z'),
  });
  t.true(text.includes('\nDate: Fri, 02 Jan 2026 03:04:05 UTC\n'));
  t.true(text.includes('\nCodename: trixie\n'));
  t.regex(text, /\nSHA256:\n [0-9a-f]{64} 3 main\/binary-amd64\/Packages\n$/);
});

const input = {customizeScript: '#!/bin/sh\n', architecture: 'x64', machineRelease: 'debian 12'};

test('another recipe is another cache entry, the same one is the same', t => {
  t.is(recipeDigest(input), recipeDigest({...input}));
  t.not(recipeDigest(input), recipeDigest({...input, customizeScript: '#!/bin/sh\ntrue\n'}));
  t.not(recipeDigest(input), recipeDigest({...input, architecture: 'arm64'}));
});

test('hosts are bare: nothing that the site has to offer is in their base', t => {
  const argv = bootstrapCommand({
    base: '/b', packages: "/it's", customizeScript: '/c.sh', mirror: 'http://mirror.invalid/debian',
  }); // prettier-ignore
  const include = argv.find(argument => argument.startsWith('--include=')) ?? '';
  for (const name of [...SITE_PACKAGES, 'curl', 'python']) t.false(include.includes(name), name);
  const hook = argv.find(argument => argument.startsWith('--customize-hook=')) ?? '';
  t.true(
    hook.startsWith(
      String.raw`--customize-hook=/c.sh "$1" '/it'\''s' conntrack ethtool iptables nftables socat `,
    ),
  );
  t.deepEqual(argv.slice(-3), ['trixie', '/b', 'http://mirror.invalid/debian']);
});

test('a request names a file below the folder, whatever it tries', t => {
  t.is(filePath('/srv', '/dists/trixie/InRelease?x=1'), '/srv/dists/trixie/InRelease');
  t.is(filePath('/srv', '/pool/a%2bb.deb'), '/srv/pool/a+b.deb');
  for (const target of [
    '/../etc/passwd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/..%2f..%2fetc/passwd',
    '/%',
    '//x',
  ]) {
    t.true(
      filePath('/srv', target).startsWith('/srv/') || filePath('/srv', target) === '/srv',
      target,
    );
  }
});

test('the file server answers files, their size alone, and refuses everything else', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-files-'));
  await mkdir(join(folder, 'sub'));
  await writeFile(join(folder, 'sub', 'file'), 'content');
  const server = createFileServer(folder);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.teardown(async () => {
    server.close();
    await rm(folder, {recursive: true});
  });
  const {port} = server.address() as AddressInfo;
  const ask = (method: string, path: string) =>
    new Promise<{status: number; body: string; size: string | undefined}>((resolve, reject) => {
      const outgoing = request({host: '127.0.0.1', port, method, path, agent: false}, response => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (body += chunk));
        response.on('end', () => {
          const size = response.headers['content-length'];
          resolve({status: response.statusCode ?? 0, body, size});
        });
      });
      outgoing.on('error', reject);
      outgoing.end();
    });
  t.deepEqual(await ask('GET', '/sub/file'), {status: 200, body: 'content', size: '7'});
  t.deepEqual(await ask('HEAD', '/sub/file'), {status: 200, body: '', size: '7'});
  t.is((await ask('GET', '/sub')).status, 404);
  t.is((await ask('GET', '/nothing')).status, 404);
  t.is((await ask('GET', '/../../../../etc/hostname')).status, 404);
  t.is((await ask('PUT', '/sub/file')).status, 405);
});
