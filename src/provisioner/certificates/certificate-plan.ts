import {digestOf} from '#shared/digest';
import type {KubernetesObject, ObjectReference} from '#shared/kube/object';
import {referenceOf} from '#shared/kube/object';
import type {Toleration} from '../addons/tolerations.ts';
import type {HostState} from '../host-state/host-state.ts';
import type {Change} from '../resources/change.ts';
import type {CertificateSettings, IssuerSettings} from '../role/cluster.ts';
import {type ControllerRelease, controllerObjects} from './controller-release.ts';
import {issuerId, issuerManifests, type IssuerManifests, namedSecret} from './issuer-objects.ts';
import {parseOwned} from './owned-objects.ts';

/** Names under which state.json of the first control plane records what was applied. */
export const APIS_ACTION = 'certificates:apis';
export const CONTROLLER_ACTION = 'certificates:controller';
export const issuerAction = (id: string): string => `issuer:${id}`;

/** Everything that a run does about certificates. */
export interface CertificatePlan {
  /** Custom resource definitions and admission policies; undefined: they are as they should be. */
  readonly apis: Manifests | undefined;
  readonly controller: ControllerPlan | undefined;
  /** The controller is not wanted any more; its kinds and what users made of them stay. */
  readonly controllerRemoval: readonly ObjectReference[] | undefined;
  readonly issuers: readonly PlannedIssuer[];
  readonly removedIssuers: readonly RemovedIssuer[];
  /** Whether a throw-away certificate is issued at the end. */
  readonly test: boolean;
  readonly lines: readonly (Change & {readonly phase: string})[];
}

export interface Manifests {
  readonly digest: string;
  readonly definitions: readonly KubernetesObject[];
  readonly policies: readonly KubernetesObject[];
}

export interface ControllerPlan {
  readonly digest: string;
  readonly objects: readonly KubernetesObject[];
  readonly release: ControllerRelease;
}

export interface PlannedIssuer extends IssuerManifests {
  readonly id: string;
  readonly action: string;
  /** What an earlier run made for it and this one does not want any more. */
  readonly obsolete: readonly ObjectReference[];
}

export interface RemovedIssuer {
  readonly id: string;
  readonly action: string;
  readonly owned: readonly ObjectReference[];
}

/** Of the phases below, in the order in which they run. */
export const certificatePhases = {
  apis: 'certificate-apis',
  image: 'certificate-image',
  controller: 'certificate-controller',
  issuers: 'issuers',
  test: 'certificate-test',
} as const;

export interface CertificatePlanInput {
  readonly settings: CertificateSettings;
  /** Of the first control plane. */
  readonly state: HostState;
  readonly release: ControllerRelease;
  /** Reference of the controller's image. */
  readonly image: string;
  /** Of the taints that the inventory gives control planes. */
  readonly tolerations: readonly Toleration[];
}

/** What differs between cluster.yaml and what state.json says was applied. Pure. */
export function planCertificates(input: CertificatePlanInput): CertificatePlan {
  const {settings, state, release} = input;
  const isRecorded = (action: string) => action in state.actions;
  const apis = settings.enabled ? planApis(release) : undefined;
  const controller = settings.enabled ? planController(input) : undefined;
  const differs = ({digest}: {readonly digest: string}, action: string) =>
    state.actions[action]?.status !== 'done' || state.actions[action].digest !== digest;
  const issuers = settings.issuers
    .map(issuer => planIssuer(issuer, settings, state))
    .filter(issuer => differs(issuer, issuer.action));
  const removesController = !settings.enabled && isRecorded(CONTROLLER_ACTION);
  const changedApis = apis !== undefined && differs(apis, APIS_ACTION) ? apis : undefined;
  const changedController =
    controller !== undefined && differs(controller, CONTROLLER_ACTION) ? controller : undefined;
  const plan = {
    apis: changedApis,
    controller: changedController,
    controllerRemoval: removesController ? removableObjects(release) : undefined,
    issuers,
    removedIssuers: removedIssuers(settings, state),
    test: issuers.length > 0 || changedApis !== undefined || changedController !== undefined,
  };
  return {...plan, lines: describe(plan, release, state)};
}

/** A plan of a cluster without anything to do about certificates. */
export const NO_CERTIFICATE_CHANGES: CertificatePlan = {
  apis: undefined,
  controller: undefined,
  controllerRemoval: undefined,
  issuers: [],
  removedIssuers: [],
  test: false,
  lines: [],
};

function planApis({customResourceDefinitions, admissionPolicies}: ControllerRelease): Manifests {
  return {
    digest: digestOf([customResourceDefinitions, admissionPolicies]),
    definitions: customResourceDefinitions,
    policies: admissionPolicies,
  };
}

function planController({release, ...more}: CertificatePlanInput): ControllerPlan {
  const objects = controllerObjects(release, more);
  return {digest: digestOf(objects), objects, release};
}

/** The namespace stays: it holds the keys of ClusterIssuers. */
function removableObjects({manifests, admissionPolicies}: ControllerRelease) {
  return [...admissionPolicies, ...manifests]
    .filter(({kind}) => kind !== 'Namespace')
    .map(referenceOf)
    .reverse();
}

function planIssuer(
  issuer: IssuerSettings,
  settings: CertificateSettings,
  state: HostState,
): PlannedIssuer {
  const manifests = issuerManifests(issuer);
  const id = issuerId(issuer);
  const action = issuerAction(id);
  const kept = new Set([...manifests.owned.map(keyOf), ...namedSecrets(settings)]);
  const obsolete = parseOwned(state.actions[action]?.keys).filter(each => !kept.has(keyOf(each)));
  return {...manifests, id, action, obsolete};
}

const keyOf = ({kind, namespace = '', name}: ObjectReference): string =>
  `${kind}/${namespace}/${name}`;

/** What some issuer of cluster.yaml signs with stays, whoever made it. */
const namedSecrets = ({issuers}: CertificateSettings): readonly string[] =>
  issuers.flatMap(issuer => namedSecret(issuer) ?? []).map(keyOf);

function removedIssuers(
  settings: CertificateSettings,
  {actions}: HostState,
): readonly RemovedIssuer[] {
  const {issuers} = settings;
  const kept = new Set(namedSecrets(settings));
  const wanted = new Set(issuers.map(issuer => issuerAction(issuerId(issuer))));
  return Object.entries(actions)
    .filter(([action]) => action.startsWith(issuerAction('')) && !wanted.has(action))
    .map(([action, {keys}]) => ({
      id: action.slice(issuerAction('').length),
      action,
      owned: parseOwned(keys).filter(each => !kept.has(keyOf(each))),
    }));
}

function describe(
  plan: Omit<CertificatePlan, 'lines'>,
  release: ControllerRelease,
  {actions}: HostState,
): CertificatePlan['lines'] {
  const {apis, controller, controllerRemoval, issuers, removedIssuers: removed} = plan;
  const line = (
    phase: keyof typeof certificatePhases,
    id: string,
    action: Change['action'],
    summary: string,
  ) => ({phase: certificatePhases[phase], id, action, summary});
  return [
    ...removed.map(({action, owned}) => {
      const key = withKeys(', with the key in Secret ', owned);
      return line('issuers', action, 'remove', `it is not in cluster.yaml any more${key}`);
    }),
    ...(controllerRemoval === undefined
      ? []
      : [line('controller', CONTROLLER_ACTION, 'remove', 'stop it; its kinds and every certificate stay')]), // prettier-ignore
    ...(apis === undefined
      ? []
      : [
          line(
            'apis',
            APIS_ACTION,
            'run',
            `apply ${apis.definitions.length} kinds and ${apis.policies.length} objects of admission`,
          ),
        ]),
    ...(controller === undefined
      ? []
      : [line('controller', CONTROLLER_ACTION, 'run', `run slipway-certs ${release.version}`)]),
    ...issuers.map(({action, objects, keyPair, obsolete}) => {
      const count = objects.length + (keyPair === undefined ? 0 : 1);
      const verb = action in actions ? 'bring up to date' : 'make';
      const what = `${count} object${count === 1 ? '' : 's'}`;
      const key = withKeys(', then remove the key in Secret ', obsolete);
      return line('issuers', action, 'run', `${verb} (${what}), wait until it is Ready${key}`);
    }),
    ...(plan.test ? [line('test', 'certificates:test', 'run', 'issue throw-away certificates')] : []), // prettier-ignore
  ];
}

/** Private keys that go are named, since nothing brings them back. */
function withKeys(text: string, owned: readonly ObjectReference[]): string {
  const secret = owned.find(({kind}) => kind === 'Secret');
  return secret === undefined ? '' : `${text}${secret.name}`;
}
