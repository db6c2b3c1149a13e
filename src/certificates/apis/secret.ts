import type {KubernetesObject} from '#shared/kube/object';

/** core/v1 Secret, the fields we read and write. */
export interface SecretObject extends KubernetesObject {
  readonly type?: string;
  /** Values in base64. */
  readonly data?: Readonly<Record<string, string>>;
  readonly immutable?: boolean;
}
