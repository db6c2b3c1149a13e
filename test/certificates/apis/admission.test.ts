import test from 'ava';
import {admissionPolicies} from '#certificates/apis/admission';

interface Policy {
  readonly policyName?: string;
  readonly failurePolicy?: string;
  readonly matchConstraints?: {
    readonly resourceRules: readonly {readonly resources: readonly string[]}[];
  };
  readonly matchResources?: unknown;
}

const objects = admissionPolicies().map(({kind, metadata, ...rest}) => ({
  kind,
  name: metadata.name,
  spec: rest['spec'] as Policy,
}));
const policies = objects.filter(({kind}) => kind.endsWith('Policy'));

test('each policy is followed by its binding, and refuses when it cannot be asked', t => {
  t.is(objects.length, policies.length * 2);
  for (const {kind, name, spec} of policies) {
    const binding =
      objects[objects.findIndex(other => other.kind === kind && other.name === name) + 1];
    t.like(binding, {kind: `${kind}Binding`, name, spec: {policyName: name}});
    t.is(spec.failurePolicy, 'Fail');
  }
});

test('a namespace may switch off the checks of specifications, but not who asked and who approves', t => {
  const optional = objects.filter(({spec}) => spec.matchResources !== undefined);
  t.deepEqual(
    optional.map(({name}) => name),
    ['certificates.cert-manager.io', 'issuers.cert-manager.io'],
  );
});

test('policies look at requests, Certificates, issuers and Orders alone', t => {
  const resources = policies.flatMap(
    ({spec}) => spec.matchConstraints?.resourceRules.flatMap(rule => rule.resources) ?? [],
  );
  t.deepEqual([...new Set(resources)].toSorted(), [
    'certificaterequests',
    'certificaterequests/status',
    'certificates',
    'clusterissuers',
    'issuers',
    'orders/status',
  ]);
});
