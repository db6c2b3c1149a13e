import {randomBytes} from 'node:crypto';
import {Secret} from '#shared/secret';
import type {KubernetesApi} from '#shared/kube/kubernetes-api';

const TOKEN_LIFETIME_MS = 30 * 60_000;

/** A new token in kubeadm's form, `[a-z0-9]{6}.[a-z0-9]{16}`. */
export function createToken(): Secret {
  const hex = randomBytes(11).toString('hex');
  return new Secret(`${hex.slice(0, 6)}.${hex.slice(6, 22)}`);
}

const reference = (token: Secret) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  namespace: 'kube-system',
  name: `bootstrap-token-${token.reveal().slice(0, 6)}`,
});

/** Lets hosts join with this token for half an hour (Kubernetes "Bootstrap tokens", Secret format). */
export async function allowToken(
  api: KubernetesApi,
  token: Secret,
  {signal, now}: {readonly signal: AbortSignal; readonly now: Date},
): Promise<void> {
  const {apiVersion, kind, name, namespace} = reference(token);
  const [id, secret] = token.reveal().split('.');
  const object = {
    apiVersion,
    kind,
    metadata: {name, namespace},
    type: 'bootstrap.kubernetes.io/token',
    stringData: {
      'token-id': id,
      'token-secret': secret,
      expiration: new Date(now.getTime() + TOKEN_LIFETIME_MS).toISOString().replace(/\.\d+Z$/, 'Z'),
      'usage-bootstrap-authentication': 'true',
      'usage-bootstrap-signing': 'true',
      'auth-extra-groups': 'system:bootstrappers:kubeadm:default-node-token',
    },
  };
  await api.apply(object, {signal});
}

/** Ends the token's life; nothing happens when it is gone already. */
export async function revokeToken(
  api: KubernetesApi,
  token: Secret,
  {signal}: {readonly signal: AbortSignal},
): Promise<void> {
  await api.delete(reference(token), {signal});
}
