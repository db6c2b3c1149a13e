import type {KubernetesObject} from '#shared/kube/object';
import {z} from 'zod';
import type {Toleration} from '../addons/tolerations.ts';

const CONTROL_PLANE_LABEL = 'node-role.kubernetes.io/control-plane';
const PROGRAM_ANNOTATION = 'provision.dev/program';
const IMAGE_PLACEHOLDER = '__IMAGE__';

const kubernetesObject = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({name: z.string(), namespace: z.string().optional()}),
});
const name = z.string().min(1);

/** manifests.json of the certificate controller's build. */
const releaseSchema = z.looseObject({
  version: name,
  namespace: name,
  deployment: name,
  lease: z.looseObject({namespace: name, name}),
  customResourceDefinitions: z.array(kubernetesObject).min(1),
  admissionPolicies: z.array(kubernetesObject),
  manifests: z.array(kubernetesObject).min(1),
});

/** What one build of the certificate controller needs in a cluster. */
export interface ControllerRelease {
  readonly version: string;
  /** sha256 of the program: another one is another release, whatever its version says. */
  readonly programDigest: string;
  /** Of the Deployment. */
  readonly namespace: string;
  readonly deployment: string;
  readonly lease: {readonly namespace: string; readonly name: string};
  readonly customResourceDefinitions: readonly KubernetesObject[];
  readonly admissionPolicies: readonly KubernetesObject[];
  /** The Namespace first; with `__IMAGE__` where the image's reference belongs. */
  readonly manifests: readonly KubernetesObject[];
}

/**
 * Reads manifests.json.
 *
 * @throws TypeError for a file that the build does not write
 */
export function parseControllerRelease(text: string, programDigest: string): ControllerRelease {
  const parsed = releaseSchema.safeParse(JSON.parse(text));
  if (!parsed.success) throw new TypeError(`manifests.json: ${z.prettifyError(parsed.error)}`);
  // Loose objects: what is not named above is handed on as it is.
  return {...(parsed.data as unknown as Omit<ControllerRelease, 'programDigest'>), programDigest};
}

/**
 * The controller's manifests for this cluster. Its image is sent to control planes alone, so that
 * is where it runs; and it can start before any worker has joined. Pure.
 *
 * @param tolerations of the taints that control planes have
 */
export function controllerObjects(
  {manifests, programDigest}: ControllerRelease,
  {image, tolerations}: {readonly image: string; readonly tolerations: readonly Toleration[]},
): readonly KubernetesObject[] {
  const named = JSON.parse(
    JSON.stringify(manifests).replaceAll(`"${IMAGE_PLACEHOLDER}"`, () => JSON.stringify(image)),
  ) as readonly KubernetesObject[];
  return named.map(object =>
    object.kind === 'Deployment' ? onControlPlanes(object, {programDigest, tolerations}) : object,
  );
}

interface Template {
  readonly metadata?: {readonly annotations?: Readonly<Record<string, string>>};
  readonly spec?: {
    readonly nodeSelector?: Readonly<Record<string, string>>;
    readonly tolerations?: readonly object[];
  };
}

function onControlPlanes(
  deployment: KubernetesObject,
  {
    programDigest,
    tolerations,
  }: {readonly programDigest: string; readonly tolerations: readonly Toleration[]},
): KubernetesObject {
  const spec = deployment['spec'] as {readonly template?: Template} | undefined;
  const {metadata, spec: pod, ...rest} = spec?.template ?? {};
  const template = {
    ...rest,
    metadata: {
      ...metadata,
      // Another program under the same reference is another pod.
      annotations: {...metadata?.annotations, [PROGRAM_ANNOTATION]: programDigest},
    },
    spec: {
      ...pod,
      nodeSelector: {...pod?.nodeSelector, [CONTROL_PLANE_LABEL]: ''},
      tolerations: [...(pod?.tolerations ?? []), ...tolerations],
    },
  };
  return {...deployment, spec: {...spec, template}};
}
