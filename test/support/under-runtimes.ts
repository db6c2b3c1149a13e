import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {cgroupLayout} from '#runtime/cgroup/layout';
import {openDirectExec} from '#runtime/exec/direct-exec';
import type {DirectExec} from '#runtime/exec/exec-target';
import {createLog} from '#shared/log';
import {type Workbench, workbench} from '#test/container';
import {writeProgram} from '#test/program-file';
import {type RuntimePrograms, runtimePrograms} from '#test/runtime-programs';
import {temporaryFolder} from '#test/temporary-folder';
import type {ExecutionContext, TestFn} from 'ava';

const {signal} = new AbortController();

type Check = (t: ExecutionContext, bench: Workbench) => Promise<void>;
/** With `direct`, commands are to be run by slipway-exec. */
type ExecCheck = (t: ExecutionContext, bench: ExecBench) => Promise<void>;
export type ExecBench = Workbench & {readonly direct?: DirectExec};

/** Registers tests that need real OCI runtimes and conmon; their programs are got before all. */
export function underRuntimes(test: TestFn): {
  /** The same promise under runc and under crun, each with a workbench of its own. */
  readonly each: (title: string, check: Check) => void;
  /** The same promise of a command in a container by runc, by crun and by slipway-exec. */
  readonly eachExec: (title: string, check: ExecCheck) => void;
  /** A promise that has nothing to do with the runtime. */
  readonly once: (title: string, check: Check) => void;
  readonly programs: () => RuntimePrograms;
} {
  const folder = temporaryFolder();
  let found: RuntimePrograms | undefined;
  const programs = (): RuntimePrograms => {
    if (found === undefined) throw new Error('programs are known in tests only');
    return found;
  };
  test.before('the programs are there', async () => {
    const {path} = await folder;
    const all = await runtimePrograms(path, signal);
    found = {...all, crun: await acceptingCrun(all.crun, path)};
  });
  test.after.always(async () => {
    await (await folder)[Symbol.asyncDispose]();
  });
  const register = (title: string, name: 'runc' | 'crun', check: Check): void => {
    test(title, async t => {
      const {conmon: conmonPath, slipwayExec: execProgram, [name]: runtimePath} = programs();
      await using bench = await workbench({name, runtimePath, conmonPath, execProgram});
      await check(t, bench);
    });
  };
  return {
    each: (title, check) => {
      for (const name of ['runc', 'crun'] as const) register(`${name}: ${title}`, name, check);
    },
    eachExec: (title, check) => {
      for (const name of ['runc', 'crun'] as const) register(`${name}: ${title}`, name, check);
      register(`slipway-exec: ${title}`, 'runc', async (t, bench) => {
        const direct = await openDirect(bench, programs());
        try {
          await check(t, {...bench, direct});
        } finally {
          direct.close();
        }
      });
    },
    once: (title, check) => {
      register(title, 'runc', check);
    },
    programs,
  };
}

/** slipway-exec for containers of a workbench; what it does not take on fails the test. */
export async function openDirect(
  {path}: Workbench,
  {slipwayExec}: RuntimePrograms,
): Promise<DirectExec> {
  const folder = join(path, 'seccomp');
  const log = createLog({level: 'info', write: () => undefined});
  const options = {path: slipwayExec, folder, log, signal};
  const direct = await openDirectExec(options);
  if (direct === undefined) throw new Error('slipway-exec does not work on this machine');
  return direct;
}

/**
 * crun refuses a machine with controllers in a v2 hierarchy beside v1; where this is one, a
 * program that hides that hierarchy from crun alone.
 */
async function acceptingCrun(crun: string, folder: string): Promise<string> {
  const {root, hybrid} = cgroupLayout();
  const unified = join(root, 'unified');
  if (!hybrid || (await readFile(join(unified, 'cgroup.controllers'), 'utf8')) === '\n')
    return crun;
  const path = join(folder, 'crun');
  const hidden = `umount ${unified} && exec ${crun} "$@"`;
  const script = `#!/bin/sh\nexec unshare --mount sh -c '${hidden}' crun "$@"\n`;
  writeProgram(path, script);
  return path;
}
