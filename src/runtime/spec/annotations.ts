import type {SandboxConfig} from './input.ts';

/** What other OCI runtimes (gVisor, Kata) and people reading `runc state` look for. */
export function containerAnnotations({
  type,
  sandboxId,
  sandbox,
  containerName,
  systemdCgroup,
}: {
  readonly type: 'sandbox' | 'container';
  readonly sandboxId: string;
  readonly sandbox: Pick<SandboxConfig, 'metadata'>;
  readonly containerName: string | undefined;
  readonly systemdCgroup: boolean;
}): Readonly<Record<string, string>> {
  const {name = '', namespace = '', uid = ''} = sandbox.metadata ?? {};
  return {
    'io.kubernetes.cri.container-type': type,
    'io.kubernetes.cri.sandbox-id': sandboxId,
    ...(containerName === undefined ? {} : {'io.kubernetes.cri.container-name': containerName}),
    'io.kubernetes.cri.sandbox-name': name,
    'io.kubernetes.cri.sandbox-namespace': namespace,
    'io.kubernetes.cri.sandbox-uid': uid,
    // Of the scope that runc asks systemd for: it goes with its last process, failed or not, and
    // at shutdown it is stopped before the daemon is.
    ...(systemdCgroup
      ? {
          'org.systemd.property.CollectMode': "'inactive-or-failed'",
          'org.systemd.property.DefaultDependencies': 'true',
          'org.systemd.property.After': "['slipway-cri.service']",
        }
      : {}),
  };
}
