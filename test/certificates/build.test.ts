import {readFileSync} from 'node:fs';
import {copyFile, mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {buildCertificatesBundle, BUNDLE_FILES, type ManifestsFile} from '#certificates/build';
import {LEASE_NAMESPACE, NAME, NAMESPACE} from '#certificates/manifests/manifests';
import {run} from '#shared/local-process';
import {temporaryFolder} from '#test/temporary-folder';

const {signal} = new AbortController();

test('the bundle runs on plain Node beside no package, and the same sources give the same bytes', async t => {
  await using folder = await temporaryFolder();
  const [first, second, alone] = ['first', 'second', 'alone'].map(name => join(folder.path, name)) as [string, string, string]; // prettier-ignore
  await buildCertificatesBundle(first, {image: 'example.org/certs:1'});
  await buildCertificatesBundle(second, {image: 'example.org/certs:1'});
  for (const file of BUNDLE_FILES) {
    t.true(readFileSync(join(first, file)).equals(readFileSync(join(second, file))), file);
  }

  await mkdir(alone);
  const program = join(alone, 'slipway-certs.mjs');
  await copyFile(join(first, 'slipway-certs.mjs'), program);
  const start = (...flags: readonly string[]) =>
    run([process.execPath, program, ...flags], {signal, cwd: alone});
  t.like(await start('--version'), {exitCode: 0, stdout: 'slipway-certs 0.1.0\n'});
  t.is((await start('--help')).exitCode, 0);
  const wrong = await start('--namespac=x');
  t.is(wrong.exitCode, 2);
  t.regex(wrong.stderr, /^ERR_USAGE: .*--namespac\n {2}next: write --namespace/);
  const missing = await start('--kubeconfig=/nowhere');
  t.is(missing.exitCode, 16);
  t.regex(missing.stderr, /^ERR_CREDENTIALS_INVALID: /);

  const file = JSON.parse(readFileSync(join(first, 'manifests.json'), 'utf8')) as ManifestsFile;
  t.like(file, {
    namespace: NAMESPACE,
    deployment: NAME,
    lease: {namespace: LEASE_NAMESPACE, name: 'cert-manager-controller'},
  });
  t.is(file.customResourceDefinitions.length, 6);
  t.is(JSON.stringify(file).split('__IMAGE__').length, 2, 'one image, one placeholder');
  const install = readFileSync(join(first, 'install.json'), 'utf8');
  t.false(install.includes('__IMAGE__'));
  t.true(install.includes('"example.org/certs:1"'));
});
