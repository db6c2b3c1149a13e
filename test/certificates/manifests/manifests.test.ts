import test from 'ava';
import {parseFlags} from '#certificates/config/flags';
import {manifests, NAME} from '#certificates/manifests/manifests';
import type {Rule} from '#certificates/manifests/rules';
import type {KubernetesObject} from '#shared/kube/object';

const defaults = {image: 'registry/slipway-certs@sha256:00', version: '1.2.3'};
const of = (kind: string, objects: readonly KubernetesObject[]) =>
  objects.filter(object => object.kind === kind);

interface Pod {
  readonly serviceAccountName: string;
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly volumes?: unknown;
  readonly hostNetwork?: unknown;
  readonly containers: readonly {
    readonly image: string;
    readonly args: readonly string[];
    readonly securityContext: Readonly<Record<string, unknown>>;
    readonly resources: Readonly<Record<string, unknown>>;
    readonly readinessProbe: {readonly httpGet: {readonly path: string; readonly port: string}};
    readonly ports: readonly {readonly name: string; readonly containerPort: number}[];
  }[];
}

function podOf(objects: readonly KubernetesObject[]): Pod {
  const [deployment] = of('Deployment', objects);
  return (deployment as unknown as {spec: {template: {spec: Pod}}}).spec.template.spec;
}

test('the pod meets the restricted Pod Security Standard, and writes nothing', t => {
  const pod = podOf(manifests(defaults));
  t.is(pod.volumes, undefined);
  t.is(pod.hostNetwork, undefined);
  t.like(pod.securityContext, {
    runAsNonRoot: true,
    runAsUser: 65532,
    seccompProfile: {type: 'RuntimeDefault'},
  });
  for (const {securityContext, resources} of pod.containers) {
    t.deepEqual(securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: {drop: ['ALL']},
    });
    t.truthy(resources['limits']);
  }
});

test('the arguments of the pod are flags that the program takes', t => {
  const pod = podOf(manifests({...defaults, namespace: 'certs', signingRequests: true, extraArguments: ['--v=4']})); // prettier-ignore
  const config = parseFlags(pod.containers[0]?.args ?? []);
  t.is(config.clusterResourceNamespace, 'certs');
  t.is(config.leaderElection.namespace, 'kube-system');
  t.is(config.logLevel, 'debug');
  t.true(config.controllers.includes('certificatesigningrequests-issuer-ca'));
  t.true(config.controllers.includes('certificaterequests-approver'));
});

test('probes and metrics ask at the ports that the program listens on', t => {
  const [container] = podOf(manifests(defaults)).containers;
  const {metricsAddress, healthAddress} = parseFlags([]);
  const port = (name: string) => container?.ports.find(each => each.name === name)?.containerPort;
  t.true(metricsAddress.endsWith(`:${port('metrics')}`));
  t.true(healthAddress.endsWith(`:${port('health')}`));
  t.deepEqual(container?.readinessProbe.httpGet, {path: '/readyz', port: 'health'});
});

test('the namespace comes first and the pod last; all that has one lies in it or with the Lease', t => {
  const objects = manifests({...defaults, namespace: 'certs', replicas: 3});
  t.like(objects[0], {kind: 'Namespace', metadata: {name: 'certs'}});
  t.like(objects.at(-1), {kind: 'Deployment', spec: {replicas: 3}});
  const namespaces = new Set(objects.slice(1).map(({metadata}) => metadata.namespace));
  t.deepEqual(namespaces, new Set(['certs', undefined, 'kube-system']));
});

test('every binding binds a role that is there to the service account of the pod', t => {
  const objects = manifests({...defaults, signingRequests: true});
  const account = podOf(objects).serviceAccountName;
  t.is(of('ServiceAccount', objects)[0]?.metadata.name, account);
  for (const binding of [...of('ClusterRoleBinding', objects), ...of('RoleBinding', objects)]) {
    const {roleRef, subjects} = binding as unknown as {
      roleRef: {kind: string; name: string};
      subjects: readonly {kind: string; name: string; namespace: string}[];
    };
    t.true(of(roleRef.kind, objects).some(({metadata}) => metadata.name === roleRef.name));
    t.deepEqual(subjects, [{kind: 'ServiceAccount', name: account, namespace: 'cert-manager'}]);
  }
});

test("rights on Kubernetes' CertificateSigningRequests are there only when they are asked for", t => {
  const names = (signingRequests: boolean) =>
    of('ClusterRole', manifests({...defaults, signingRequests})).map(({metadata}) => metadata.name);
  t.false(names(false).includes(`${NAME}-signing-requests`));
  t.true(names(true).includes(`${NAME}-signing-requests`));
});

test('no rule has a wildcard, and nobody gets our Secrets through view or edit', t => {
  for (const role of of('ClusterRole', manifests({...defaults, signingRequests: true}))) {
    const {rules} = role as unknown as {rules: readonly Rule[]};
    for (const {apiGroups, resources, verbs} of rules) {
      t.false([...apiGroups, ...resources, ...verbs].includes('*'), role.metadata.name);
      const aggregated = role.metadata.name.startsWith('cert-manager-');
      t.false(aggregated && resources.includes('secrets'), role.metadata.name);
    }
  }
});

test("the cluster's own roles get ours by aggregation, as cert-manager's chart has it", t => {
  const roles = of('ClusterRole', manifests(defaults));
  const aggregated = (name: string) =>
    Object.keys(roles.find(({metadata}) => metadata.name === name)?.metadata.labels ?? {})
      .filter(label => label.includes('/aggregate-to-'))
      .map(label => label.replace(/.*aggregate-to-/, ''));
  t.deepEqual(aggregated('cert-manager-view'), ['view', 'edit', 'admin']);
  t.deepEqual(aggregated('cert-manager-edit'), ['edit', 'admin']);
  t.deepEqual(aggregated('cert-manager-cluster-view'), ['cluster-reader']);
});
