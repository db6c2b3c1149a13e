// The layout as law: docs/architecture.md draws it, this file enforces it.
const programs = 'provisioner|runtime|certificates|lab';
const rule = (name, comment, from, to) => ({name, comment, severity: 'error', from, to});
const door = (name, folder) =>
  rule(
    `${name}-has-one-door`,
    `Use ${folder} instead.`,
    {path: '^(src|roles)/', pathNot: `^${folder}`},
    {path: `^node_modules/${name}/`},
  );
const pure =
  '^(roles/|src/(provisioner/(config|role|plan)|runtime/spec|certificates/(apis|policies|x509|keystores|manifests))/)';

/** What is started, or loaded by Node before that: nothing imports it. */
const PROGRAMS =
  '^src/(compile-cache[.]js|(cli|runtime/(main|build|image/unpack-worker|cri/api/generate)|certificates/(main|build))[.]ts)$';

export default {
  forbidden: [
    rule('no-circular', 'A cycle is one module pretending to be two.', {}, {circular: true}),
    rule('resolvable', 'The import does not exist.', {}, {couldNotResolve: true}),
    rule(
      'shared-is-a-leaf',
      'shared/ may not know its users.',
      {path: '^src/shared/'},
      {path: '^(src|roles|test)/', pathNot: '^src/shared/'},
    ),
    rule(
      'artifacts-know-only-shared',
      'Artifacts are used by provisioner and lab, never the other way round.',
      {path: '^src/artifacts/'},
      {path: '^(src|roles)/', pathNot: '^src/(artifacts|shared)/'},
    ),
    rule(
      'programs-are-strangers',
      'Move the common part to shared/.',
      {path: `^src/(${programs})/`},
      {path: `^src/(${programs})/`, pathNot: '^src/$1/'},
    ),
    rule(
      'roles-see-only-the-role-api',
      'A role must be testable without a network.',
      {path: '^roles/([^/]+)/'},
      {
        path: '^(src|roles)/',
        pathNot: ['^roles/$1/', '^src/provisioner/(role|template)/', '^src/shared/'],
      },
    ),
    rule(
      'src-does-not-know-roles',
      'Only the composition root names roles.',
      {path: '^src/', pathNot: '^src/provisioner/main[.]ts$'},
      {path: '^roles/'},
    ),
    rule(
      'core-is-pure',
      'Decisions take values, not handles.',
      {path: pure, pathNot: '^src/provisioner/config/load[.]ts$'},
      {
        dependencyTypes: ['core'],
        path: '^(node:)?(fs|child_process|net|https?|http2|tls|dns|timers)(/|$)',
      },
    ),
    rule(
      'plan-does-not-act',
      'A plan is data; connections and phases come later.',
      {path: '^src/provisioner/plan/'},
      {path: '^src/provisioner/(transport|phases|engine|report|cli)/'},
    ),
    rule(
      'engine-does-not-know-phases',
      'The engine runs a graph; what is in it comes from actions.',
      {path: '^src/provisioner/engine/'},
      {path: '^src/provisioner/(phases|actions|cli)/'},
    ),
    rule(
      'cross-module-by-name',
      'Leave your tree only through #imports.',
      {path: '^src/([^/]+)/'},
      {path: '^(src|roles)/', pathNot: '^src/$1/', dependencyTypesNot: ['aliased-subpath-import']},
    ),
    rule(
      'reachable-or-dead',
      'No program reaches this module.',
      {path: PROGRAMS},
      {path: '^(src|roles)/', reachable: false, pathNot: PROGRAMS},
    ),
    rule(
      'no-dep-on-test',
      'Production code may not import tests.',
      {path: '^(src|roles)/'},
      {path: '^test/'},
    ),
    door('ssh2', 'src/provisioner/transport/'),
    door('handlebars', 'src/provisioner/template/'),
    door('listr2', 'src/provisioner/report/'),
    door('zx', 'src/shared/local-process[.]ts'),
    door('js-yaml', 'src/shared/yaml[.]ts'),
    door('@kubernetes', 'src/shared/kube/'),
    door('@grpc', 'src/runtime/cri/'),
    door('koffi', 'src/runtime/(sys|process)/'),
    door('undici', 'src/certificates/kube/'),
    door('@peculiar', 'src/certificates/x509/'),
    door('croner', 'src/certificates/policies/'),
    door('smol-toml', 'src/shared/toml[.]ts'),
  ],
  options: {
    doNotFollow: {path: 'node_modules'},
    tsConfig: {fileName: 'tsconfig.json'},
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      conditionNames: ['import', 'node', 'default', 'types'],
      exportsFields: ['exports'],
    },
  },
};
