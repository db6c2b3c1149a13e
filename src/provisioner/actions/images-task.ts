import type {Task} from '../engine/graph.ts';
import {loadImages} from '../phases/load-images.ts';
import {pullImages} from '../phases/pull-images.ts';
import type {ClusterSession, HostSession} from '../phases/session.ts';
import type {ClusterPlan} from './plan.ts';

export interface ImagesOf {
  readonly host: HostSession;
  readonly phase: string;
  readonly references: readonly string[];
  readonly after: readonly string[];
}

/** Brings images to a host: it pulls them, or they are sent where there is no registry. */
export function imagesTask(
  {cluster}: Pick<ClusterSession, 'cluster'>,
  {artifacts, imageDigests}: Pick<ClusterPlan, 'artifacts' | 'imageDigests'>,
  {host, phase, references, after}: ImagesOf,
): Task {
  return {
    phase,
    host: host.host.name,
    after,
    idle: references.length === 0,
    run: async context => {
      if (cluster.registryUrl !== undefined) {
        return await pullImages(host, {references, digests: imageDigests}, context);
      }
      const archive = await artifacts.imageArchive(references);
      return await loadImages(host, {references, archive}, context);
    },
  };
}
