import {openHosts} from '../actions/open-hosts.ts';
import {planCluster} from '../actions/plan.ts';
import {selectHosts} from '../actions/select-hosts.ts';
import {type CommandInput, openContext} from './context.ts';

const EXIT_CHANGES = 3;

/** `provision plan`: what a run would do. Changes nothing, takes no lock. */
export async function planCommand(input: CommandInput): Promise<number> {
  await using context = await openContext(input);
  const {environment, reporter} = context;
  const {cluster, options} = environment;
  const selected = new Set(selectHosts(cluster, options.limit).map(({name}) => name));
  const hosts = cluster.hosts.filter(host => host.isControlPlane || selected.has(host.name));
  await using open = await openHosts(environment, hosts, {lock: false});
  const plan = await planCluster(environment, open, selected);
  reporter.emit({type: 'plan', changes: plan.changes, hosts: plan.lines});
  return input.args.options.detailedExitcode && plan.changes > 0 ? EXIT_CHANGES : 0;
}
