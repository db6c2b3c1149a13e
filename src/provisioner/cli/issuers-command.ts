import {formatTable} from '#shared/table';
import {requireIssued} from '../actions/certificate-tasks.ts';
import {issuers, testIssuers} from '../actions/certificates.ts';
import type {IssuerRow} from '../certificates/list-issuers.ts';
import type {IssuerTrial} from '../certificates/try-issuers.ts';
import {usage} from './arguments.ts';
import {type CommandInput, openContext} from './context.ts';

/** `provision issuers list` and `provision issuers test [NAME]`. */
export async function issuersCommand(input: CommandInput): Promise<number> {
  const [word = 'list', name, ...more] = input.args.rest;
  const takes = word === 'test' ? 1 : 0;
  if (
    (word !== 'list' && word !== 'test') ||
    more.length > 0 ||
    (name !== undefined && takes === 0)
  ) {
    throw usage(
      `issuers takes list, or test and at most one name; found ${input.args.rest.join(' ')}`,
      '"provision issuers test NAME" tries one, "provision issuers list" shows all',
    );
  }
  return word === 'list' ? await list(input) : await test(input, name);
}

async function list(input: CommandInput): Promise<number> {
  await using context = await openContext(input, {quiet: true});
  const {namespace, output} = input.args.options;
  const rows = await issuers(context.environment, {namespace});
  const text = output === 'json' ? JSON.stringify(rows) : formatIssuers(rows);
  input.output.write(`${text}\n`);
  return 0;
}

async function test(input: CommandInput, name: string | undefined): Promise<number> {
  await using context = await openContext(input, {quiet: true});
  const {namespace, output} = input.args.options;
  const isText = output === 'text';
  const trials = await testIssuers(context.environment, {
    namespace,
    name,
    onTried: trial => {
      if (isText) input.output.write(`${formatTrial(trial)}\n`);
    },
  });
  if (!isText) input.output.write(`${JSON.stringify(trials)}\n`);
  requireIssued(trials);
  return 0;
}

function formatTrial({id, verdict, seconds}: IssuerTrial): string {
  return verdict.ok
    ? `${id}: issued in ${seconds.toFixed(1)} s, signed by ${verdict.signedBy}; key, name, time and chain are sound`
    : `${id}: FAILED: ${verdict.reason}`;
}

function formatIssuers(rows: readonly IssuerRow[]): string {
  if (rows.length === 0) return 'no issuers';
  return formatTable(
    ['ISSUER', 'TYPE', 'READY', 'CERTIFICATES', 'CLUSTER.YAML', 'MESSAGE'],
    rows.map(({id, type, ready, certificates, inClusterFile, message}) => [
      id,
      type,
      ready ? 'yes' : 'NO',
      String(certificates),
      inClusterFile ? 'yes' : '-',
      message,
    ]),
  );
}
