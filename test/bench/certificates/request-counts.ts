import {createRequester} from '#shared/kube/request';
import type {HttpTransport} from '#shared/kube/transport';

/** Requests that an API server has answered, by `VERB resource/subresource`. */
export type RequestCounts = ReadonlyMap<string, number>;

/** Kinds that only the controller writes while a benchmark runs; events count apart. */
const WRITTEN =
  /^(POST|PUT|PATCH|APPLY|DELETE) (secrets|certificaterequests|certificaterequests\/status|certificates\/status)$/;
const EVENTS = /^(POST|PATCH) events$/;

/** Reads `apiserver_request_total` of the server's own metrics: it costs the server nothing. */
export async function readCounts(
  transport: HttpTransport,
  signal: AbortSignal,
): Promise<RequestCounts> {
  const requester = createRequester(transport, {retryTimeoutMs: 0});
  const options = {signal, attempt: 'read the metrics of the API server'};
  const text = await requester.text({method: 'GET', path: '/metrics'}, options);
  const counts = new Map<string, number>();
  for (const [, labels = '', value] of text.matchAll(/^apiserver_request_total\{(.*)\} (\S+)$/gm)) {
    const label = (name: string): string =>
      new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1] ?? '';
    const subresource = label('subresource');
    const key = `${label('verb')} ${label('resource')}${subresource === '' ? '' : `/${subresource}`}`;
    counts.set(key, (counts.get(key) ?? 0) + Number(value));
  }
  return counts;
}

/** What was written between two readings. */
export function writesBetween(
  before: RequestCounts,
  after: RequestCounts,
): {
  readonly writes: number;
  readonly events: number;
  readonly by: Readonly<Record<string, number>>;
} {
  const by: Record<string, number> = {};
  let writes = 0;
  let events = 0;
  for (const [key, count] of after) {
    const difference = count - (before.get(key) ?? 0);
    if (difference === 0) continue;
    if (EVENTS.test(key)) events += difference;
    if (!WRITTEN.test(key)) continue;
    writes += difference;
    by[key] = difference;
  }
  return {writes, events, by};
}
