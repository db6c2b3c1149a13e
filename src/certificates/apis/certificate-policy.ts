import type {KubernetesObject} from '#shared/kube/object';
import {specChanged, validatingPolicy, type Validation} from './admission-policy.ts';
import {literal} from './cel.ts';
import {GROUP, injectionAnnotations} from './names.ts';

/**
 * Rules of Certificate that look at each entry of a list or map. As rules of the definition they
 * would need bounds that the published schemas lack; a policy's budget counts what is really there.
 */
export function certificatePolicy(): readonly KubernetesObject[] {
  return validatingPolicy({
    name: `certificates.${GROUP}`,
    match: {group: GROUP, resources: ['certificates'], operations: ['CREATE', 'UPDATE']},
    optional: true,
    conditions: specChanged,
    variables: [
      {name: 'template', expression: optional('secretTemplate', '{}')},
      {name: 'otherNames', expression: optional('otherNames', '[]')},
      {
        name: 'windows',
        expression: `has(object.spec.renewal) && has(object.spec.renewal.windows) ? object.spec.renewal.windows : []`,
      },
      {
        name: 'ranges',
        expression: ['permitted', 'excluded']
          .map(
            set =>
              `(has(object.spec.nameConstraints) && has(object.spec.nameConstraints.${set}) && has(object.spec.nameConstraints.${set}.ipRanges) ? object.spec.nameConstraints.${set}.ipRanges : [])`,
          )
          .join(' + '),
      },
    ],
    validations: [...nameValidations(), ...templateValidations(), windowValidation],
  });
}

function nameValidations(): readonly Validation[] {
  const mapped = `(name.lowerAscii().startsWith('::ffff:') && (isIP(name.substring(7)) || isIP('::' + name.substring(7))))`;
  return [
    each('ipAddresses', `isIP(name) || ${mapped}`, 'an IP address, e.g. 192.0.2.1 or 2001:db8::1'),
    each(
      'emailAddresses',
      `name.matches(${literal('^[!-;=?A-~]+@[!-;=?A-~]+$')})`,
      'an address alone, in ASCII, e.g. jane@example.com',
    ),
    each(
      'dnsNames',
      `name.matches(${literal('^[\\x00-\\x7f]*$')})`,
      'in ASCII: write international names in Punycode (xn--...)',
    ),
    each(
      'uris',
      `name.matches(${literal('^([^%\\x00-\\x1f\\x7f]|%[0-9A-Fa-f]{2})+$')})`,
      'a URI, e.g. spiffe://example.com/service',
    ),
    {
      expression: `variables.otherNames.all(name, has(name.oid) && name.oid.matches(${literal('^[0-2]([.](0|[1-9][0-9]*))+$')}))`,
      message:
        'spec.otherNames: each oid must be an object identifier, e.g. 1.3.6.1.4.1.311.20.2.3',
    },
    {
      expression: `variables.otherNames.all(name, has(name.utf8Value) && name.utf8Value.size() > 0)`,
      message: 'spec.otherNames: utf8Value must not be empty',
    },
    {
      expression: 'variables.otherNames.size() == variables.otherNames.distinct().size()',
      message: 'spec.otherNames: each name may be there once',
    },
    {
      expression: 'variables.ranges.all(range, isCIDR(range))',
      message: 'spec.nameConstraints: each of ipRanges must be a CIDR, e.g. 10.0.0.0/8',
    },
  ];
}

function templateValidations(): readonly Validation[] {
  const message = (field: string): string =>
    `spec.secretTemplate.${field}: keys under ${GROUP}/ belong to the controller: leave them out`;
  const allowed = injectionAnnotations.allowDirectInjection;
  return [
    {
      expression: `!has(variables.template.annotations) || variables.template.annotations.all(key, !key.startsWith('${GROUP}/') || key == '${allowed}')`,
      message: message('annotations'),
    },
    {
      expression: `!has(variables.template.labels) || variables.template.labels.all(key, !key.startsWith('${GROUP}/'))`,
      message: message('labels'),
    },
  ];
}

/** The rest of what a schedule may be is found by the controller (policies/cron-schedule.ts). */
const CRON =
  '^\\s*(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|[0-9A-Za-z*?,/-]+(\\s+[0-9A-Za-z*?,/-]+){4})\\s*$';

const windowValidation: Validation = {
  expression: `variables.windows.all(window, window.cron.matches(${literal(CRON)}))`,
  message: 'spec.renewal.windows: cron must have five fields, e.g. 0 2 * * 6',
};

/** Holds for each text of a list of the spec. */
function each(field: string, rule: string, expected: string): Validation {
  const list = `object.spec.${field}`;
  return {
    expression: `!has(${list}) || ${list}.all(name, ${rule})`,
    message: `spec.${field}: each must be ${expected}`,
    messageExpression: `'spec.${field}: ' + ${list}.filter(name, !(${rule}))[0] + ' must be ${expected}'`,
  };
}

function optional(field: string, empty: string): string {
  return `has(object.spec.${field}) ? object.spec.${field} : ${empty}`;
}
