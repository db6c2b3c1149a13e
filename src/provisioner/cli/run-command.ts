import {loadCluster} from '../config/load.ts';
import {formatProof, ProofFailedError, type ProofResult} from '../proof/proof-result.ts';
import {kubeconfig} from '../actions/kubeconfig.ts';
import {status} from '../actions/status.ts';
import {verify} from '../actions/verify.ts';
import {formatTable} from '#shared/table';
import {applyCommand} from './apply-command.ts';
import {certsCommand} from './certs-command.ts';
import {type CommandInput, openContext} from './context.ts';
import {issuersCommand} from './issuers-command.ts';
import {kubectlCommand} from './kubectl-command.ts';
import {planCommand} from './plan-command.ts';
import {resetCommand} from './reset-command.ts';

/**
 * Runs one command on one cluster and returns its exit code.
 *
 * @throws CodedError for everything that `exitCodeOf` knows
 */
export async function runCommand(input: CommandInput): Promise<number> {
  switch (input.args.verb) {
    case 'apply':
      return await applyCommand(input);
    case 'plan':
      return await planCommand(input);
    case 'reset':
      return await resetCommand(input);
    case 'verify':
      return await verifyCommand(input);
    case 'status':
      return await statusCommand(input);
    case 'kubeconfig':
      return await kubeconfigCommand(input);
    case 'kubectl':
      return await kubectlCommand(input);
    case 'validate':
      return await validateCommand(input);
    case 'issuers':
      return await issuersCommand(input);
    case 'certs':
      return await certsCommand(input);
    case 'images':
      throw new TypeError('images is run by the composition of programs');
    default:
      return input.args.verb satisfies never;
  }
}

async function verifyCommand(input: CommandInput): Promise<number> {
  const isJson = input.args.options.output === 'json';
  await using context = await openContext(input, {quiet: isJson});
  const {environment, reporter} = context;
  const tell = (proof: ProofResult) => {
    if (isJson) input.output.write(`${JSON.stringify(proof)}\n`);
    else reporter.say(formatProof(proof));
  };
  try {
    tell(await verify(environment));
  } catch (error) {
    if (error instanceof ProofFailedError) tell(error.result);
    throw error;
  }
  return 0;
}

async function statusCommand(input: CommandInput): Promise<number> {
  await using context = await openContext(input, {quiet: true});
  const {environment} = context;
  const {hosts, cluster} = await status(environment);
  if (input.args.options.output === 'json') {
    input.output.write(`${JSON.stringify({hosts, cluster})}\n`);
    return 0;
  }
  const header = ['HOST', 'SSH', 'RUNTIME', 'KUBELET', 'READY', 'CERTIFICATES UNTIL', 'DRIFT'];
  const rows = hosts.map(({host, ssh, runtime, kubelet, ready, certificatesUntil, drift}) => [
    host,
    ssh,
    runtime,
    kubelet,
    ready,
    certificatesUntil,
    drift === undefined ? '-' : String(drift),
  ]);
  const issuers = (cluster?.issuers ?? []).map(({issuer, cells}) => [
    issuer,
    cells.ready?.detail ?? '-',
  ]);
  const more = issuers.length === 0 ? '' : `\n${formatTable(['ISSUER', 'READY'], issuers)}\n`;
  input.output.write(`${formatTable(header, rows)}\n${more}`);
  return 0;
}

async function kubeconfigCommand(input: CommandInput): Promise<number> {
  await using context = await openContext(input, {quiet: true});
  const {environment} = context;
  input.output.write(await kubeconfig(environment));
  return 0;
}

async function validateCommand({clusterFile, output, args}: CommandInput): Promise<number> {
  const cluster = await loadCluster({file: clusterFile});
  const {name, hosts, kubernetesVersion} = cluster;
  const text = `${clusterFile}: cluster ${name}, Kubernetes ${kubernetesVersion}, ${hosts.length} hosts: valid`;
  const json = JSON.stringify({valid: true, cluster: name, hosts: hosts.map(host => host.name)});
  output.write(`${args.options.output === 'json' ? json : text}\n`);
  return 0;
}
