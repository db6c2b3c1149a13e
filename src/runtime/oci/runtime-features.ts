/** What an OCI runtime can do, of what the daemon asks about (runtime-spec, "Features"). */
export interface RuntimeFeatures {
  /** Mount options it takes; `rro` means recursively read-only mounts. */
  readonly mountOptions: ReadonlySet<string>;
  /** Namespace kinds, in the specification's words: `user`, `network`, … */
  readonly namespaces: ReadonlySet<string>;
  readonly seccomp: boolean;
  readonly apparmor: boolean;
  /** True when mounts may carry mappings of ids (`mountExtensions.idmap`). */
  readonly idMappedMounts: boolean;
}

/** Reads the output of `features`; what it does not mention counts as absent. */
export function parseFeatures(output: string): RuntimeFeatures {
  const features = readObject(parseJson(output));
  const linux = readObject(features['linux']);
  const isEnabled = (value: unknown): boolean => readObject(value)['enabled'] === true;
  return {
    mountOptions: new Set(readStrings(features['mountOptions'])),
    namespaces: new Set(readStrings(linux['namespaces'])),
    seccomp: isEnabled(linux['seccomp']),
    apparmor: isEnabled(linux['apparmor']),
    idMappedMounts: isEnabled(readObject(linux['mountExtensions'])['idmap']),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the same as a runtime that can do nothing of it
  }
}

function readObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function readStrings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : [];
}
