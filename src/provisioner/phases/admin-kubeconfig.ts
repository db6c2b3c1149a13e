import {CodedError} from '#shared/errors';
import {parseYaml} from '#shared/yaml';
import {z} from 'zod';
import type {ProvisionerErrorCode} from '../errors.ts';
import type {Connection} from '../transport/connection.ts';

const ADMIN_CONF = '/etc/kubernetes/admin.conf';

const adminConf = z.looseObject({
  clusters: z.array(
    z.looseObject({cluster: z.looseObject({'certificate-authority-data': z.string()})}),
  ),
});

/**
 * The administrator's kubeconfig as kubeadm wrote it on a control plane.
 *
 * @throws CodedError ERR_CLUSTER_ABSENT and those of the connection
 */
export async function readAdminKubeconfig(
  connection: Connection,
  {signal}: {readonly signal: AbortSignal},
): Promise<string> {
  const {exitCode, stdout} = await connection.run(`cat ${ADMIN_CONF}`, {signal});
  if (exitCode === 0) return stdout;
  throw new CodedError<ProvisionerErrorCode>(
    'ERR_CLUSTER_ABSENT',
    `${connection.host}: there is no ${ADMIN_CONF}: no cluster was made here`,
    {hint: 'run "provision cluster.yaml" first'},
  );
}

/** The cluster's CA certificate, base64 of PEM. */
export async function readClusterAuthority(
  connection: Connection,
  options: {readonly signal: AbortSignal},
): Promise<string> {
  const text = await readAdminKubeconfig(connection, options);
  const {value} = parseYaml(text, {file: `${connection.host}:${ADMIN_CONF}`});
  const authority = adminConf.safeParse(value).data?.clusters[0]?.cluster;
  if (authority !== undefined) return authority['certificate-authority-data'];
  throw new CodedError<ProvisionerErrorCode>(
    'ERR_CLUSTER_ABSENT',
    `${connection.host}: ${ADMIN_CONF} names no cluster authority`,
    {hint: 'run "kubeadm init phase kubeconfig admin" on the control plane'},
  );
}
