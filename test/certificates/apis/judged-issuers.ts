import type {AcmeSolver} from '#certificates/apis/acme-solver';
import type {IssuerSpec} from '#certificates/apis/issuer';
import type {Accepted, Refused} from './judged.ts';

const secret = {name: 'a'};
const solver = (dns01: NonNullable<AcmeSolver['dns01']>): IssuerSpec => acme({solvers: [{dns01}]});

export const acceptedIssuers: readonly Accepted<IssuerSpec>[] = [
  {title: 'selfSigned', spec: {selfSigned: {}}},
  {title: 'selfSigned with URLs', spec: {selfSigned: {crlDistributionPoints: ['http://a/crl']}}},
  {
    title: 'ca',
    spec: {
      ca: {secretName: 'a', ocspServers: ['http://a'], crlDistributionPoints: ['ldap:///cn=a?b']},
    },
  },
  {title: 'acme without solvers', spec: acme({})},
  {
    title: 'acme with an account of the CA',
    spec: acme({externalAccountBinding: {keyID: 'a', keySecretRef: secret}}),
  },
  {
    title: 'http01 by ingress',
    spec: acme({solvers: [{http01: {ingress: {}}, waitInsteadOfSelfCheck: '0s'}]}),
  },
  {
    title: 'http01 by Gateway API',
    spec: acme({
      solvers: [
        {selector: {dnsZones: ['a']}, http01: {gatewayHTTPRoute: {parentRefs: [{name: 'a'}]}}},
      ],
    }),
  },
  {title: 'route53 of the machine itself', spec: solver({route53: {}})},
  {title: 'cloudflare by token', spec: solver({cloudflare: {apiTokenSecretRef: secret}})},
  {
    title: 'azureDNS by identity',
    spec: solver({
      azureDNS: {subscriptionID: 'a', resourceGroupName: 'b', managedIdentity: {clientID: 'c'}},
    }),
  },
  {
    title: 'rfc2136 with a key',
    spec: solver({
      rfc2136: {
        nameserver: '[2001:db8::1]:53',
        tsigAlgorithm: 'HMACSHA256',
        tsigKeyName: 'k',
        tsigSecretSecretRef: secret,
      },
    }),
  },
  {
    title: 'webhook',
    spec: solver({webhook: {groupName: 'a', solverName: 'b', config: {any: [1]}}}),
  },
  {title: 'vault by token', spec: vault({auth: {tokenSecretRef: secret}})},
  {
    title: 'vault by account',
    spec: vault({auth: {kubernetes: {role: 'a', serviceAccountRef: {name: 'b'}}}}),
  },
  {title: 'venafi', spec: {venafi: {zone: 'a', cloud: {apiTokenSecretRef: secret}}}},
];

export const refusedIssuers: readonly Refused<IssuerSpec>[] = [
  {title: 'no type', spec: {}, says: 'exactly one of'},
  {title: 'two types', spec: {selfSigned: {}, ca: {secretName: 'a'}}, says: 'exactly one of'},
  {title: 'a CA without Secret', spec: {ca: {secretName: ''}}, says: 'spec.ca.secretName'},
  {
    title: 'a URL with a space',
    spec: {ca: {secretName: 'a', ocspServers: ['http://a b']}},
    says: 'spec.ca.ocspServers',
  },
  {
    title: 'an empty URL',
    spec: {selfSigned: {crlDistributionPoints: ['']}},
    says: 'spec.selfSigned.crlDistributionPoints',
  },
  {title: 'ACME without server', spec: acme({server: ''}), says: 'spec.acme.server'},
  {
    title: 'ACME without account',
    spec: acme({privateKeySecretRef: {name: ''}}),
    says: 'spec.acme.privateKeySecretRef',
  },
  {
    title: 'ACME with a CA that is not asked',
    spec: acme({caBundle: 'YQ==', skipTLSVerify: true}),
    says: 'skipTLSVerify',
  },
  {
    title: 'half an account of the CA',
    spec: acme({externalAccountBinding: {keyID: '', keySecretRef: secret}}),
    says: 'externalAccountBinding',
  },
  {title: 'a solver of no kind', spec: acme({solvers: [{selector: {}}]}), says: 'http01 and dns01'},
  {
    title: 'a solver of two kinds',
    spec: acme({solvers: [{http01: {ingress: {}}, dns01: {route53: {}}}]}),
    says: 'http01 and dns01',
  },
  {
    title: 'http01 of no kind',
    spec: acme({solvers: [{http01: {}}]}),
    says: 'ingress and gatewayHTTPRoute',
  },
  {
    title: 'an ingress with two names',
    spec: acme({solvers: [{http01: {ingress: {class: 'a', name: 'b'}}}]}),
    says: 'ingressClassName',
  },
  {
    title: 'a service of another type',
    spec: acme({solvers: [{http01: {ingress: {serviceType: 'LoadBalancer'}}}]}),
    says: 'serviceType',
  },
  {
    title: 'a negative wait',
    spec: acme({solvers: [{http01: {ingress: {}}, waitInsteadOfSelfCheck: '-1m'}]}),
    says: 'waitInsteadOfSelfCheck',
  },
  {title: 'dns01 without provider', spec: solver({cnameStrategy: 'Follow'}), says: 'dns01'},
  {
    title: 'dns01 with two providers',
    spec: solver({route53: {}, cloudflare: {apiTokenSecretRef: secret}}),
    says: 'dns01',
  },
  {
    title: 'acmeDNS without host',
    spec: solver({acmeDNS: {host: '', accountSecretRef: secret}}),
    says: 'acmeDNS',
  },
  {
    title: 'akamai without domain',
    spec: solver({
      akamai: {
        serviceConsumerDomain: '',
        accessTokenSecretRef: secret,
        clientSecretSecretRef: secret,
        clientTokenSecretRef: secret,
      },
    }),
    says: 'akamai',
  },
  {
    title: 'azureDNS without subscription',
    spec: solver({azureDNS: {subscriptionID: '', resourceGroupName: 'a'}}),
    says: 'azureDNS',
  },
  {
    title: 'azureDNS with half a secret',
    spec: solver({azureDNS: {subscriptionID: 'a', resourceGroupName: 'a', clientID: 'b'}}),
    says: 'azureDNS',
  },
  {
    title: 'azureDNS with two identities',
    spec: solver({
      azureDNS: {
        subscriptionID: 'a',
        resourceGroupName: 'a',
        managedIdentity: {clientID: 'a', resourceID: 'b'},
      },
    }),
    says: 'azureDNS',
  },
  {title: 'cloudDNS without project', spec: solver({cloudDNS: {project: ''}}), says: 'cloudDNS'},
  {title: 'cloudflare with nothing', spec: solver({cloudflare: {}}), says: 'cloudflare'},
  {
    title: 'cloudflare with a key of nobody',
    spec: solver({cloudflare: {apiKeySecretRef: secret}}),
    says: 'cloudflare',
  },
  {
    title: 'digitalocean without token',
    spec: solver({digitalocean: {tokenSecretRef: {name: ''}}}),
    says: 'digitalocean',
  },
  {title: 'rfc2136 with a URL', spec: solver({rfc2136: {nameserver: 'http://a'}}), says: 'rfc2136'},
  {
    title: 'rfc2136 with an unknown algorithm',
    spec: solver({rfc2136: {nameserver: 'a', tsigAlgorithm: 'SHA3'}}),
    says: 'rfc2136',
  },
  {
    title: 'rfc2136 with a name of no key',
    spec: solver({rfc2136: {nameserver: 'a', tsigKeyName: 'b'}}),
    says: 'rfc2136',
  },
  {
    title: 'route53 with two ids',
    spec: solver({route53: {accessKeyID: 'a', accessKeyIDSecretRef: secret}}),
    says: 'route53',
  },
  {
    title: 'webhook without solver',
    spec: solver({webhook: {groupName: 'a', solverName: ''}}),
    says: 'webhook',
  },
  {title: 'Vault without server', spec: vault({server: ''}), says: 'spec.vault.server'},
  {title: 'Vault without path', spec: vault({path: ''}), says: 'spec.vault.path'},
  {
    title: 'Vault with a path that climbs',
    spec: vault({path: 'pki/../sys'}),
    says: 'spec.vault.path',
  },
  {
    title: 'a login path that climbs',
    spec: vault({auth: {appRole: {path: '..', roleId: 'a', secretRef: secret}}}),
    says: 'spec.vault.auth',
  },
  {
    title: 'Vault with two CAs',
    spec: vault({caBundle: 'YQ==', caBundleSecretRef: secret}),
    says: 'caBundle',
  },
  {
    title: 'Vault with half a certificate',
    spec: vault({clientCertSecretRef: secret}),
    says: 'clientKeySecretRef',
  },
  {title: 'Vault without login', spec: vault({auth: {}}), says: 'spec.vault.auth'},
  {
    title: 'Vault with two logins',
    spec: vault({
      auth: {tokenSecretRef: secret, appRole: {path: 'a', roleId: 'a', secretRef: secret}},
    }),
    says: 'spec.vault.auth',
  },
  {
    title: 'Vault with a token of nobody',
    spec: vault({auth: {tokenSecretRef: {name: ''}}}),
    says: 'tokenSecretRef',
  },
  {
    title: 'Vault with half a role',
    spec: vault({auth: {appRole: {path: 'a', roleId: '', secretRef: secret}}}),
    says: 'appRole',
  },
  {
    title: 'Vault with an account of nobody',
    spec: vault({auth: {kubernetes: {role: 'a'}}}),
    says: 'kubernetes',
  },
  {title: 'venafi of no kind', spec: {venafi: {zone: 'a'}}, says: 'spec.venafi'},
];

function acme(changes: Partial<NonNullable<IssuerSpec['acme']>>): IssuerSpec {
  return {
    acme: {server: 'https://a/directory', privateKeySecretRef: secretOf('account'), ...changes},
  };
}

function vault(changes: Partial<NonNullable<IssuerSpec['vault']>>): IssuerSpec {
  const auth = {tokenSecretRef: secretOf('token')};
  return {vault: {server: 'https://a:8200', path: 'pki/sign/a', auth, ...changes}};
}

function secretOf(name: string): {readonly name: string} {
  return {name};
}
