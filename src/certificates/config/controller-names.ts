import {CodedError} from '#shared/errors';
import {nearest} from '#shared/nearest';
import type {CertificatesErrorCode} from '../errors.ts';

/** Parts of the controller by cert-manager's names: what each does, and whether `*` has it. */
export const CONTROLLERS = {
  'certificaterequests-approver': {inDefault: true, does: 'approves requests for our issuers'},
  'certificaterequests-issuer-ca': {inDefault: true, does: 'signs requests of CA issuers'},
  'certificaterequests-issuer-selfsigned': {
    inDefault: true,
    does: 'signs requests of SelfSigned issuers',
  },
  'certificatesigningrequests-issuer-ca': {
    inDefault: false,
    does: "signs Kubernetes' CertificateSigningRequests for CA issuers",
  },
  'certificatesigningrequests-issuer-selfsigned': {
    inDefault: false,
    does: "signs Kubernetes' CertificateSigningRequests for SelfSigned issuers",
  },
} as const satisfies Readonly<Record<string, {inDefault: boolean; does: string}>>;

/** One reconciler does what these do in cert-manager; it cannot be switched off in parts. */
const ALWAYS =
  /^(certificates-(trigger|issuing|key-manager|request-manager|readiness|revision-manager|metrics)|issuers|clusterissuers)$/;

/** Parts that are not there yet: they are off, so taking them away is no mistake. */
const NOT_YET =
  /^(certificate(signing)?requests-issuer-(acme|vault|venafi)|orders|challenges|(ingress|gateway|listenerset)-shim)$/;

/**
 * The parts that run, from `--controllers`: `*`, names, and names with `-` in front. A name that is
 * taken away stays away, wherever it is written.
 *
 * @throws CodedError ERR_USAGE for a name that is none of ours
 */
export function enabledControllers(patterns: readonly string[]): readonly string[] {
  const names = Object.keys(CONTROLLERS);
  const enabled = new Set<string>();
  for (const pattern of patterns) {
    if (pattern === '*') {
      for (const [name, {inDefault}] of Object.entries(CONTROLLERS)) {
        if (inDefault) enabled.add(name);
      }
      continue;
    }
    const name = pattern.replace(/^-/, '');
    if (names.includes(name)) enabled.add(name);
    else refuse(name, pattern);
  }
  for (const pattern of patterns) if (pattern.startsWith('-')) enabled.delete(pattern.slice(1));
  return names.filter(name => enabled.has(name));
}

function refuse(name: string, pattern: string): void {
  const takenAway = pattern.startsWith('-');
  if (NOT_YET.test(name) && takenAway) return;
  if (ALWAYS.test(name) && !takenAway) return;
  if (ALWAYS.test(name)) {
    throw usage(`--controllers: ${name} cannot be switched off: one reconciler does the whole work`, 'leave it out; to stop everything, scale the Deployment to 0'); // prettier-ignore
  }
  if (NOT_YET.test(name)) {
    throw usage(`--controllers: there is no ${name} here yet`, 'leave it out');
  }
  const near = nearest(name, Object.keys(CONTROLLERS));
  throw usage(
    `--controllers: there is no part ${JSON.stringify(name)}`,
    near === undefined ? `choose of ${Object.keys(CONTROLLERS).join(', ')}` : `write ${near}`,
  );
}

function usage(message: string, hint: string): CodedError<CertificatesErrorCode> {
  return new CodedError('ERR_USAGE', message, {hint});
}
