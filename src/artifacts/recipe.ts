import type {Arch, ArtifactName} from './artifact.ts';

/** What one build makes; each is built, locked and cached as a whole. */
export type ComponentName =
  | 'containerd'
  | 'runc'
  | 'container-tools'
  | 'node'
  | 'slipway-cri'
  | 'slipway-certs'
  | 'cni-plugins'
  | 'cni-flannel'
  | 'pause'
  | 'slipway-exec'
  | 'network-layer'
  | 'shell-layer'
  | 'node-layer'
  | 'kubernetes'
  | 'etcd'
  | 'flannel'
  | 'coredns';

/** A file that a component gives: an artifact, or a layer that only images use. */
export type FileName = ArtifactName | 'network-layer' | 'shell-layer' | 'node-layer';

export interface Component {
  readonly name: ComponentName;
  /** As its own project writes it, e.g. `v1.36.3`, `3.10.2`. */
  readonly version: string;
  /** How the `packages` source makes it. */
  readonly recipe: Recipe;
}

export type Recipe =
  GoRecipe | CRecipe | DebianRecipe | DebianProgramsRecipe | NpmRecipe | OwnRecipe;

/** Compiled by the Go client from the committed module `go/<component>/`. */
export interface GoRecipe {
  readonly kind: 'go';
  /** Package path by the file that it becomes. */
  readonly packages: Readonly<Partial<Record<FileName, string>>>;
  /** `-X` settings of the linker: variable → value. */
  readonly variables: Readonly<Record<string, string>>;
  /** Static C parts: needs a C compiler, and that of the target machine's architecture. */
  readonly cgo?: {readonly tags: readonly string[]; readonly aptPackages: readonly string[]};
}

/** One static C program of ours. */
export interface CRecipe {
  readonly kind: 'c';
  readonly file: FileName;
  /** Relative to `src/artifacts/`. */
  readonly source: string;
  readonly aptPackages: readonly string[];
  /** Part of the daemon of this checkout, as what has an {@link OwnRecipe}. */
  readonly ofCheckout?: true;
}

/** Files of Debian packages as one tar: nothing is executed, no maintainer script runs. */
export interface DebianRecipe {
  readonly kind: 'debian';
  readonly file: FileName;
  readonly suite: string;
  readonly include: readonly string[];
  /** Paths below the root that are kept; everything else in the packages is left out. */
  readonly keep: readonly string[];
  /** Of those, what is left out; `*` stands for any characters but `/`. */
  readonly drop: readonly string[];
  /** Symbolic links that a maintainer script would have made: path → target. */
  readonly links: Readonly<Record<string, string>>;
  readonly aptPackages: readonly string[];
}

/** Single programs out of Debian packages; the libraries that they need have to be on the hosts. */
export interface DebianProgramsRecipe {
  readonly kind: 'debian-programs';
  readonly suite: string;
  readonly include: readonly string[];
  readonly programs: Readonly<Partial<Record<FileName, DebianProgram>>>;
  /** The newest symbol version of the C library that hosts are sure to have, e.g. `2.34`. */
  readonly glibcMax: string;
  readonly aptPackages: readonly string[];
}

export interface DebianProgram {
  /** Path below the root of the unpacked packages. */
  readonly path: string;
  /** Shared libraries (sonames) that it needs and hosts get; none for a static program. */
  readonly libraries: readonly string[];
}

/** A program of an npm package of this project; the package has one variant per architecture. */
export interface NpmRecipe {
  readonly kind: 'npm';
  readonly file: FileName;
  readonly packages: Readonly<Record<Arch, string>>;
  /** Relative to the package. */
  readonly path: string;
}

/**
 * A program of ours, built from this checkout. What it should be, the checkout says: the lock file
 * records it, and follows.
 */
export interface OwnRecipe {
  readonly kind: 'own';
  /** Module that writes the files into the directory it is given. */
  readonly build: string;
  /** Folders and files that decide the result; all paths are relative to the checkout. */
  readonly sources: readonly string[];
  /** What the build names each file. */
  readonly outputs: Readonly<Partial<Record<FileName, string>>>;
}
