import {isFilled, when} from './problems.ts';
import type {VaultIssuer} from './vault-issuer.ts';

/** What is wrong with `spec.vault` of an issuer. */
export function vaultProblems(vault: VaultIssuer): readonly string[] {
  const {auth, path, server} = vault;
  const methods = Object.keys(auth);
  const paths = {
    path,
    'auth.appRole.path': auth.appRole?.path,
    'auth.aws.mountPath': auth.aws?.mountPath,
    'auth.clientCertificate.mountPath': auth.clientCertificate?.mountPath,
    'auth.kubernetes.mountPath': auth.kubernetes?.mountPath,
  };
  return [
    ...when(server === '', 'spec.vault.server is empty: set it to the URL of the Vault server'),
    ...when(path === '', 'spec.vault.path is empty: set it, e.g. to pki/sign/role'),
    ...Object.entries(paths).flatMap(([field, value = '']) =>
      when(
        value.split('/').includes('..'),
        `spec.vault.${field} has the segment "..": write the path without it`,
      ),
    ),
    ...when(
      isFilled(vault.caBundle) && vault.caBundleSecretRef !== undefined,
      'spec.vault: caBundle and caBundleSecretRef exclude each other: leave one out',
    ),
    ...when(
      (vault.clientCertSecretRef === undefined) !== (vault.clientKeySecretRef === undefined),
      'spec.vault: clientCertSecretRef and clientKeySecretRef belong together: set both or none',
    ),
    ...when(
      methods.length !== 1,
      `spec.vault.auth has ${methods.length === 0 ? 'nothing' : methods.join(' and ')}: set exactly one of appRole, aws, clientCertificate, kubernetes, tokenSecretRef`,
    ),
    ...methodProblems(auth),
  ];
}

function methodProblems({
  tokenSecretRef,
  appRole,
  kubernetes,
}: VaultIssuer['auth']): readonly string[] {
  const hasAccount = kubernetes?.serviceAccountRef !== undefined;
  return [
    ...when(
      tokenSecretRef?.name === '',
      'spec.vault.auth.tokenSecretRef.name is empty: name the Secret with the token',
    ),
    ...when(
      appRole !== undefined && (appRole.roleId === '' || appRole.secretRef.name === ''),
      'spec.vault.auth.appRole needs roleId and the name of the Secret with the secret id',
    ),
    ...when(
      kubernetes !== undefined &&
        (kubernetes.role === '' || hasAccount === isFilled(kubernetes.secretRef?.name)),
      'spec.vault.auth.kubernetes needs role, and either serviceAccountRef or secretRef',
    ),
  ];
}
