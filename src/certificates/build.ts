// node src/certificates/build.ts OUTPUT_DIR [IMAGE]: what an image and a cluster get of the controller.
import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {bundlePrograms} from '#shared/bundle';
import type {KubernetesObject} from '#shared/kube/object';
import {admissionPolicies} from './apis/admission.ts';
import {customResourceDefinitions} from './apis/definitions.ts';
import {LEASE_NAME} from './apis/names.ts';
import {LEASE_NAMESPACE, manifests, NAME, NAMESPACE} from './manifests/manifests.ts';
import {VERSION} from './version.ts';

/** The files that are written. `install.json` is only there for the image that was asked for. */
export const BUNDLE_FILES = ['slipway-certs.mjs', 'manifests.json', 'install.json'] as const;

/** Stands where the image's reference belongs in `manifests.json`. */
export const IMAGE_PLACEHOLDER = '__IMAGE__';

/** What `manifests.json` holds; who reads it knows no other part of this program. */
export interface ManifestsFile {
  readonly version: string;
  readonly namespace: string;
  /** In that namespace. */
  readonly deployment: string;
  readonly lease: {readonly namespace: string; readonly name: string};
  readonly customResourceDefinitions: readonly KubernetesObject[];
  /** Policies, each followed by its binding. */
  readonly admissionPolicies: readonly KubernetesObject[];
  /** Namespace first, Deployment last; the image is {@link IMAGE_PLACEHOLDER}. */
  readonly manifests: readonly KubernetesObject[];
}

/**
 * Writes the controller as one module that runs on bare Node 24, without node_modules, and what a
 * cluster needs for it. The same sources give the same bytes.
 *
 * - `manifests.json`: a {@link ManifestsFile}, for the provisioner
 * - `install.json`: the same as one List, for `kubectl apply --server-side -f`
 *
 * @param image reference for `install.json`
 */
export async function buildCertificatesBundle(
  outDirectory: string,
  {image = `slipway.invalid/slipway-certs:${VERSION}`}: {readonly image?: string | undefined} = {},
): Promise<void> {
  await mkdir(outDirectory, {recursive: true});
  await bundlePrograms({
    outDirectory,
    entryPoints: {'slipway-certs': 'src/certificates/main.ts'},
  });
  const file: ManifestsFile = {
    version: VERSION,
    namespace: NAMESPACE,
    deployment: NAME,
    lease: {namespace: LEASE_NAMESPACE, name: LEASE_NAME},
    customResourceDefinitions: customResourceDefinitions(),
    admissionPolicies: admissionPolicies(),
    manifests: manifests({image: IMAGE_PLACEHOLDER, version: VERSION}),
  };
  await writeJson(join(outDirectory, 'manifests.json'), file);
  const items = [
    ...file.customResourceDefinitions,
    ...file.admissionPolicies,
    ...manifests({image, version: VERSION}),
  ];
  await writeJson(join(outDirectory, 'install.json'), {apiVersion: 'v1', kind: 'List', items});
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFile(path, `${JSON.stringify(value, undefined, 1)}\n`);
}

if (import.meta.main) {
  const [outDirectory, image] = process.argv.slice(2);
  if (outDirectory === undefined) {
    console.error('usage: node src/certificates/build.ts OUTPUT_DIR [IMAGE]');
    process.exitCode = 2;
  } else {
    await buildCertificatesBundle(outDirectory, {image});
  }
}
