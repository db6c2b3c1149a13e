import {CodedError, messageOf} from '#shared/errors';
import {METRICS_CONTENT_TYPE} from '#shared/metrics/text-format';
import {type PagesServer, servePages} from '#shared/serve-pages';
import type {CommandErrorCode} from '../errors.ts';

/**
 * Serves `GET /metrics`.
 *
 * @param address `HOST:PORT`, an IPv6 host in brackets
 * @throws CodedError ERR_METRICS_ADDRESS
 */
export async function serveMetrics(address: string, format: () => string): Promise<PagesServer> {
  const page = () => ({contentType: METRICS_CONTENT_TYPE, body: format()});
  try {
    return await servePages(address, {'/metrics': page});
  } catch (cause) {
    throw new CodedError<CommandErrorCode>(
      'ERR_METRICS_ADDRESS',
      `cannot serve metrics on ${address}: ${messageOf(cause)}`,
      {hint: 'set another metrics.address, or "" for none', cause},
    );
  }
}
