import type {KeyObject} from 'node:crypto';
import {parseGoDuration} from '../../apis/duration.ts';
import {secretAnnotations, SECRET_FIELD_MANAGER} from '../../apis/names.ts';
import {secrets as secretResource, type SecretObject} from '../../apis/resources.ts';
import {decodePrivateKey} from '../../x509/keys.ts';
import type {Deed} from './deed.ts';
import {readPasswords} from './keystore-passwords.ts';
import {repairOf, secretToApply, type SecretInput} from './secret-contents.ts';
import {secretFacts, type SecretFacts} from './secret-facts.ts';
import {signingRequestFor} from './signing-request.ts';
import type {Step} from './step.ts';
import {temporaryCertificate} from './temporary-certificate.ts';

type StepOf<Kind extends Step['kind']> = Extract<Step, {readonly kind: Kind}>;

/** Puts the certificate that an issuance brought into the target Secret, in one write. */
export async function writeIssued(
  deed: Deed,
  {key: keySecret, issued}: StepOf<'write-secret'>,
): Promise<void> {
  const key = await readKey(deed, keySecret);
  if (key === undefined) return;
  const {chainPem, caPem} = issued;
  await apply(deed, secretToApply({...(await commonInput(deed)), key, chainPem, caPem}));
}

/** Fills the Secret until the issuer answers (annotation issue-temporary-certificate). */
export async function writeTemporary(
  deed: Deed,
  {key: keySecret}: StepOf<'write-temporary'>,
): Promise<void> {
  const {state, clock, events} = deed;
  const key = await readKey(deed, keySecret);
  if (key === undefined) return;
  const {certificate} = state;
  const chainPem = await temporaryCertificate({
    requestPem: signingRequestFor(certificate.spec, key),
    now: clock.now(),
    durationMs: parseGoDuration(certificate.spec.duration ?? DURATION_DEFAULT),
  });
  const input = {...(await commonInput(deed)), key, chainPem};
  await apply(deed, withoutIssuer(secretToApply(input)));
  const message = 'A temporary certificate is in the Secret until the issuer answers';
  events.record(certificate, {type: 'Normal', reason: 'Issuing', message});
}

/** Writes the Secret again with the certificate that it has. */
export async function repairSecret(
  deed: Deed,
  {secret, violation}: StepOf<'repair-secret'>,
): Promise<void> {
  const {secrets, signal, log, state} = deed;
  const {namespace = '', name: certificate} = state.certificate.metadata;
  const name = {namespace, name: state.certificate.spec.secretName};
  const {data = {}} = (await secrets.read(name, {signal})) ?? {};
  const [keyPem, chain, ca] = ['tls.key', 'tls.crt', 'ca.crt'].map(key => data[key]);
  if (keyPem === undefined || chain === undefined) {
    deed.views.secrets.forget(secret.key); // the watch is behind: it is gone, or emptied
    return;
  }
  const {reason, message: why} = violation;
  log.info('secret repaired', {certificate: `${namespace}/${certificate}`, reason, why});
  const object = secretToApply({
    ...(await commonInput(deed)),
    key: decodePrivateKey(Buffer.from(keyPem, 'base64')),
    chainPem: Buffer.from(chain, 'base64').toString('utf8'),
    caPem: ca === undefined ? undefined : Buffer.from(ca, 'base64').toString('utf8'),
    repair: repairOf(secret),
  });
  await apply(deed, object);
}

/** cert-manager.io/v1 `spec.duration`. */
const DURATION_DEFAULT = '2160h';

/** The key of the issuance; without one the Secret is forgotten, and the issuance begins anew. */
async function readKey(
  {keys, views, signal}: Deed,
  secret: SecretFacts,
): Promise<KeyObject | undefined> {
  const key = await keys.read(secret, {signal});
  if (key === undefined) views.secrets.forget(secret.key);
  return key;
}

async function commonInput({
  state,
  secrets,
  settings,
  signal,
}: Deed): Promise<
  Pick<SecretInput, 'certificate' | 'keystorePasswords' | 'existingType' | 'ownerReference'>
> {
  const {certificate, secret} = state;
  return {
    certificate,
    keystorePasswords: await readPasswords(certificate, {secrets}, {signal}),
    existingType: secret?.type,
    ownerReference: settings.certificateOwnerRef,
  };
}

/** A temporary certificate is of no issuer, so that the Certificate does not become Ready by it. */
function withoutIssuer(secret: SecretObject): SecretObject {
  const {issuerName, issuerKind, issuerGroup} = secretAnnotations;
  const without = new Set<string>([issuerName, issuerKind, issuerGroup]);
  const annotations = Object.fromEntries(
    Object.entries(secret.metadata.annotations ?? {}).filter(([name]) => !without.has(name)),
  );
  return {...secret, metadata: {...secret.metadata, annotations}};
}

async function apply({client, views, signal}: Deed, object: SecretObject): Promise<void> {
  const options = {signal, fieldManager: SECRET_FIELD_MANAGER, force: true};
  views.secrets.observe(secretFacts(await client.apply(secretResource, object, options)));
}
