import type {Resource} from './resource.ts';
import type {RoleInput} from './role.ts';

/** Programs of the lock file at their places, executable by everybody. */
export function programResources(
  programs: Readonly<Record<string, string>>,
  {artifact}: Pick<RoleInput, 'artifact'>,
  mode = 0o755,
): readonly Resource[] {
  return Object.entries(programs).map(([name, path]) => ({
    kind: 'artifact',
    path,
    artifact: name,
    mode,
    ...artifact(name),
  }));
}
