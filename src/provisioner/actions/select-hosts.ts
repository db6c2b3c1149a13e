import {CodedError} from '#shared/errors';
import type {ProvisionerErrorCode} from '../errors.ts';
import type {Cluster, Host} from '../role/cluster.ts';

/**
 * The hosts that `--limit` names, by host or group; all of them without it.
 *
 * @throws CodedError ERR_LIMIT_UNKNOWN
 */
export function selectHosts(cluster: Cluster, limit: readonly string[]): readonly Host[] {
  if (limit.length === 0) return cluster.hosts;
  const known = new Set(cluster.hosts.flatMap(({name, groups}) => [name, ...groups]));
  const unknown = limit.filter(word => !known.has(word));
  if (unknown.length > 0) {
    throw new CodedError<ProvisionerErrorCode>(
      'ERR_LIMIT_UNKNOWN',
      `--limit names ${unknown.join(', ')}, which is neither a host nor a group`,
      {hint: `choose among ${[...known].sort().join(', ')}`},
    );
  }
  return cluster.hosts.filter(
    ({name, groups}) => limit.includes(name) || groups.some(group => limit.includes(group)),
  );
}
