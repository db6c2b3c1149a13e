import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {openImagePuller, type PullerConfig} from '#runtime/image/pull';
import {createLog} from '#shared/log';
import {RegistryClient} from '#shared/oci/registry-client';
import {Secret} from '#shared/secret';
import {imageStoreDouble} from '#test/image-store-double';
import {
  type RegistryDouble,
  type RegistryDoubleOptions,
  startRegistryDouble,
} from '#test/registry-double';
import {temporaryFolder} from '#test/temporary-folder';

const {signal} = new AbortController();

/**
 * A registry with a puller that trusts it, and an empty store. `HOST` in the rules is the registry.
 */
export async function aPullSite(
  options: RegistryDoubleOptions = {},
  moreRules = '',
  progressTimeoutSeconds = 60,
) {
  const registry = await startRegistryDouble(options);
  const folder = await temporaryFolder();
  const host = new URL(registry.url).host;
  const insecure = `[[registry]]\nlocation = "${host}"\ninsecure = true\n`;
  const config: PullerConfig = {
    root: folder.path,
    registriesFile: join(folder.path, 'registries.conf'),
    authFile: join(folder.path, 'auth.json'),
    certsDirectory: join(folder.path, 'certs.d'),
    imagePull: {progressTimeoutSeconds},
  };
  await writeFile(config.registriesFile, insecure + moreRules.replaceAll('HOST', host));
  const store = imageStoreDouble();
  const lines: string[] = [];
  const log = createLog({level: 'debug', write: line => lines.push(line)});
  const puller = openImagePuller({store, config, log});
  const credentials = {username: 'user', password: new Secret('secret')};
  return {
    registry,
    host,
    store,
    puller,
    config,
    lines,
    client: new RegistryClient({url: registry.url, credentials}),
    pull: async (name = 'team/app:v1', auth = {}) => puller.pull(`${host}/${name}`, {auth, signal}),
    async [Symbol.asyncDispose]() {
      puller.close();
      await registry[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Paths of GETs of blobs. */
export function blobReads({requests}: RegistryDouble): readonly string[] {
  return requests.filter(request => /^GET .*\/blobs\//.test(request));
}
