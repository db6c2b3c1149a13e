import {join} from 'node:path';
import type {output} from 'zod';
import {RUNC_PATH_DEFAULT, type runtimeSchema} from './runtime-schema.ts';

/** The daemon's configuration: every key decided, every path absolute. See `runtime-schema.ts`. */
export type RuntimeConfig = DeepReadonly<
  Omit<Written, 'runtimes' | 'metrics' | 'defaultUlimits' | 'listen'>
> & {
  /** As configured, e.g. `unix:///run/slipway/cri.sock`. */
  readonly listen: string;
  /** The path in `listen`. */
  readonly socket: string;
  /** By handler; `defaultRuntime` is one of them. */
  readonly runtimes: Readonly<Record<string, RuntimeHandlerConfig>>;
  /** −1 has become the kernel's RLIM_INFINITY. */
  readonly defaultUlimits: readonly {
    readonly name: string;
    readonly soft: bigint;
    readonly hard: bigint;
  }[];
  readonly metrics: {readonly address: string | undefined};
  /** Where conmon drops exit codes. */
  readonly exitsDirectory: string;
};

export interface RuntimeHandlerConfig {
  /** The OCI runtime's program. */
  readonly path: string;
  /** Its `--root`. */
  readonly root: string;
}

/** What the files and flags say together, defaults applied. */
export type Written = output<typeof runtimeSchema>;

type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? {readonly [Key in keyof T]: DeepReadonly<T[Key]>}
    : T;

/** Fills in what one key decides about another. */
export function deriveConfig(written: Written): RuntimeConfig {
  const {root, state, cni, metrics} = written;
  const runtimes = Object.entries({
    runc: {path: RUNC_PATH_DEFAULT, root: ''},
    ...written.runtimes,
  });
  return {
    ...written,
    socket: written.listen.slice('unix://'.length),
    runtimes: Object.fromEntries(
      runtimes.map(([name, handler]) => [
        name,
        {
          path: handler.path === '' ? name : handler.path,
          root: handler.root === '' ? join(state, 'oci', name) : handler.root,
        },
      ]),
    ),
    defaultUlimits: written.defaultUlimits.map(({name, soft, hard}) => ({
      name,
      soft: toLimit(soft),
      hard: toLimit(hard),
    })),
    cni: {
      ...cni,
      cacheDirectory: cni.cacheDirectory === '' ? join(root, 'cni') : cni.cacheDirectory,
    },
    metrics: {address: metrics.address === '' ? undefined : metrics.address},
    exitsDirectory: join(state, 'exits'),
  };
}

/** RLIM_INFINITY of 64-bit Linux. */
const UNLIMITED = 2n ** 64n - 1n;

function toLimit(value: number): bigint {
  return value === -1 ? UNLIMITED : BigInt(value);
}
