import {formatTable} from '#shared/table';
import {certificates} from '../actions/certificates.ts';
import type {CertificateStatus} from '../certificates/certificate-status.ts';
import {usage} from './arguments.ts';
import {type CommandInput, openContext} from './context.ts';

/** `provision certs status`: every certificate, when it is renewed, and why it is not there. */
export async function certsCommand(input: CommandInput): Promise<number> {
  const [word = 'status', ...more] = input.args.rest;
  if (word !== 'status' || more.length > 0) {
    throw usage(
      `certs has one command, status; found ${input.args.rest.join(' ')}`,
      '"provision certs status -n web" shows the certificates of a namespace',
    );
  }
  await using context = await openContext(input, {quiet: true});
  const {environment} = context;
  const {namespace, output} = input.args.options;
  const rows = await certificates(environment, {namespace});
  const now = environment.clock.now();
  const text = output === 'json' ? JSON.stringify(rows) : formatCertificates(rows, now);
  input.output.write(`${text}\n`);
  return 0;
}

/** A table; what is wrong stands below it in words. */
export function formatCertificates(rows: readonly CertificateStatus[], now: Date): string {
  if (rows.length === 0) return 'no certificates';
  const table = formatTable(
    ['NAMESPACE', 'NAME', 'READY', 'ISSUER', 'EXPIRES', 'RENEWAL', 'LAST FAILURE'],
    rows.map(row => [
      row.namespace,
      row.name,
      row.ready ? 'yes' : row.issuing ? 'issuing' : 'NO',
      `${row.issuer.kind}/${row.issuer.name}`,
      formatTime(row.notAfter, now),
      formatTime(row.renewalTime, now),
      row.lastFailure === undefined
        ? '-'
        : `${formatTime(row.lastFailure.at, now)}, attempt ${row.lastFailure.attempts}`,
    ]),
  );
  const reasons = rows
    .filter(({why}) => why.length > 0)
    .map(({namespace, name, why}) => `${namespace}/${name}: ${why.join(' ← ')}`);
  return [table, ...(reasons.length > 0 ? ['', ...reasons] : [])].join('\n');
}

const SECOND_MS = 1000;
const UNITS = [
  {name: 'd', ms: 86_400 * SECOND_MS},
  {name: 'h', ms: 3_600 * SECOND_MS},
  {name: 'min', ms: 60 * SECOND_MS},
] as const;

/** `2027-02-20 (in 89 d)`; below two days with the time of day: UTC. */
function formatTime(text: string | undefined, now: Date): string {
  if (text === undefined) return '-';
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return '-';
  const distanceMs = Math.abs(at.getTime() - now.getTime());
  const unit = UNITS.find(({ms}) => distanceMs >= 2 * ms) ?? {name: 's', ms: SECOND_MS};
  const amount = `${Math.floor(distanceMs / unit.ms)} ${unit.name}`;
  const iso = at.toISOString();
  const shown = unit.name === 'd' ? iso.slice(0, 10) : `${iso.slice(0, 10)} ${iso.slice(11, 19)}Z`;
  return at < now ? `${shown} (${amount} ago)` : `${shown} (in ${amount})`;
}
