import {messageOf} from '#shared/errors';
import {monitorCgroupFor, type CgroupPaths} from '../cgroup/paths.ts';
import {placeProcess} from '../cgroup/place.ts';
import {removeCgroup} from '../cgroup/remove.ts';
import type {Dependencies} from './dependencies.ts';

interface Monitored {
  readonly id: string;
  readonly cgroupParent: string;
}

/** Moves a container's conmon beside the container: a restart of our unit then spares it. */
export async function placeMonitor(
  pid: number,
  monitored: Monitored,
  deps: Dependencies,
): Promise<void> {
  await placeProcess(pid, monitorCgroup(monitored, deps));
}

/** After conmon has ended. One that stays keeps nothing else from being removed. */
export async function removeMonitorCgroup(monitored: Monitored, deps: Dependencies): Promise<void> {
  await removeCgroup(monitorCgroup(monitored, deps), deps.ending).catch((error: unknown) => {
    deps.log.warn('the cgroup of a conmon is left', {id: monitored.id, error: messageOf(error)});
  });
}

function monitorCgroup({id, cgroupParent}: Monitored, deps: Dependencies): CgroupPaths {
  const {cgroups, config} = deps;
  return monitorCgroupFor({
    layout: cgroups,
    manager: config.cgroupManager,
    parent: cgroupParent,
    id,
  });
}
