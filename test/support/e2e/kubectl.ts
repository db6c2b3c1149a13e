import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {type ProcessResult, run} from '#shared/local-process';
import {openArtifactStore} from '#artifacts/store';
import {FOLDER, must} from './the-lab.ts';

const KUBECONFIG = join(FOLDER, 'e2e-kubeconfig');
const TIMEOUT_MS = 120_000;
const {signal} = new AbortController();

/** The user's own kubectl with what `provision kubeconfig` printed. */
export class Kubectl {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async open(): Promise<Kubectl> {
    const store = await openArtifactStore({source: 'packages', signal});
    const {path} = await store.artifact('kubectl');
    await writeFile(KUBECONFIG, (await must(['kubeconfig'])).stdout, {
      mode: 0o600,
    });
    return new Kubectl(path);
  }

  /** argv for a process of one's own. */
  argv(args: readonly string[]): readonly string[] {
    return [this.path, '--kubeconfig', KUBECONFIG, ...args];
  }

  async try(
    args: readonly string[],
    options: {readonly input?: string | Uint8Array} = {},
  ): Promise<ProcessResult> {
    return await run(this.argv(args), {signal, timeoutMs: TIMEOUT_MS, ...options});
  }

  /** Standard output of a command that has to succeed. */
  async run(args: readonly string[], input?: string): Promise<string> {
    const options = input === undefined ? {} : {input};
    const {exitCode, stdout, stderr} = await this.try(args, options);
    if (exitCode === 0) return stdout.trimEnd();
    throw new Error(`kubectl ${args.join(' ')}: exit code ${exitCode}: ${stdout}${stderr}`);
  }

  /** A JSON answer, e.g. of `get pods`. */
  async get<T>(args: readonly string[]): Promise<T> {
    return JSON.parse(await this.run(['get', ...args, '--output', 'json'])) as T;
  }
}
