import {CodedError, messageOf} from '#shared/errors';
import {METRICS_CONTENT_TYPE} from '#shared/metrics/text-format';
import {type Page, type PagesServer, servePages} from '#shared/serve-pages';
import type {CertificatesErrorCode} from '../errors.ts';
import {healthPages, type HealthOptions} from './health.ts';

/** @throws CodedError ERR_LISTEN_ADDRESS */
export async function serveMetrics(
  address: string,
  text: () => Iterable<string>,
): Promise<PagesServer> {
  const page = (): Page => ({contentType: METRICS_CONTENT_TYPE, body: text()});
  return await listen(address, {'/metrics': page}, '--metrics-listen-address');
}

/** @throws CodedError ERR_LISTEN_ADDRESS */
export async function serveHealth(address: string, options: HealthOptions): Promise<PagesServer> {
  return await listen(address, healthPages(options), '--internal-healthz-listen-address');
}

async function listen(
  address: string,
  pages: Readonly<Record<string, () => Page>>,
  flag: string,
): Promise<PagesServer> {
  try {
    return await servePages(address, pages);
  } catch (cause) {
    throw new CodedError<CertificatesErrorCode>(
      'ERR_LISTEN_ADDRESS',
      `cannot listen on ${address}: ${messageOf(cause)}`,
      {hint: `set another ${flag}`, cause},
    );
  }
}
