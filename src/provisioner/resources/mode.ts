import type {ResourceId} from '../role/resource.ts';
import type {Change} from './change.ts';
import type {PathFound} from './probe.ts';

/** A change when permission bits or owner (always root) differ. */
export function compareMode(id: ResourceId, mode: number, found: PathFound): Change | undefined {
  if (found.mode !== mode) {
    const summary = `mode ${found.mode.toString(8)} → ${mode.toString(8)}`;
    return {id, action: 'update', summary};
  }
  if (found.owner !== '0:0') {
    return {id, action: 'update', summary: `owner ${found.owner} → 0:0`};
  }
  return undefined;
}
