/**
 * The words of cert-manager's API that clients rely on: groups, labels, annotations, finalizers,
 * condition types and reasons, event reasons, field managers.
 */

export const GROUP = 'cert-manager.io';
export const ACME_GROUP = 'acme.cert-manager.io';
export const API_VERSION = `${GROUP}/v1`;
export const ACME_API_VERSION = `${ACME_GROUP}/v1`;

/** Who writes a target Secret; the name keeps the fields of Secrets that cert-manager wrote. */
export const SECRET_FIELD_MANAGER = 'cert-manager-certificates-issuing';
/** The Lease of the leader. */
export const LEASE_NAME = 'cert-manager-controller';

export const labels = {
  /** "true" on target Secrets and on Secrets with the next private key: what the views hold. */
  managed: 'controller.cert-manager.io/fao',
  /** "true" on the Secret that holds the key of an issuance under way. */
  nextPrivateKey: 'cert-manager.io/next-private-key',
  /** "true" on a namespace whose objects are not validated. */
  disableValidation: 'cert-manager.io/disable-validation',
  http01Solver: 'acme.cert-manager.io/http01-solver',
  httpDomain: 'acme.cert-manager.io/http-domain',
  httpToken: 'acme.cert-manager.io/http-token',
} as const;

/** On the target Secret: what the certificate in it says. */
export const secretAnnotations = {
  certificateName: 'cert-manager.io/certificate-name',
  issuerName: 'cert-manager.io/issuer-name',
  issuerKind: 'cert-manager.io/issuer-kind',
  issuerGroup: 'cert-manager.io/issuer-group',
  // Always there, even when empty.
  altNames: 'cert-manager.io/alt-names',
  ipSans: 'cert-manager.io/ip-sans',
  uriSans: 'cert-manager.io/uri-sans',
  commonName: 'cert-manager.io/common-name',
  // Only where the certificate has them.
  emailSans: 'cert-manager.io/email-sans',
  subjectOrganizations: 'cert-manager.io/subject-organizations',
  subjectOrganizationalUnits: 'cert-manager.io/subject-organizationalunits',
  subjectCountries: 'cert-manager.io/subject-countries',
  subjectProvinces: 'cert-manager.io/subject-provinces',
  subjectLocalities: 'cert-manager.io/subject-localities',
  subjectStreetAddresses: 'cert-manager.io/subject-streetaddresses',
  subjectPostalCodes: 'cert-manager.io/subject-postalcodes',
  subjectSerialNumber: 'cert-manager.io/subject-serialnumber',
} as const;

/** On a CertificateRequest. */
export const requestAnnotations = {
  /** Name of the Secret with the private key of the request. */
  privateKeySecretName: 'cert-manager.io/private-key-secret-name',
  certificateName: 'cert-manager.io/certificate-name',
  /** Decimal number, from 1. */
  certificateRevision: 'cert-manager.io/certificate-revision',
} as const;

/** On a Certificate. */
export const certificateAnnotations = {
  /** "true": a self-signed certificate fills the Secret until the real one comes. */
  issueTemporaryCertificate: 'cert-manager.io/issue-temporary-certificate',
} as const;

/** On a CertificateSigningRequest of Kubernetes. */
export const signingRequestAnnotations = {
  /** Go duration, at least 600 s. */
  duration: 'experimental.cert-manager.io/request-duration',
  isCA: 'experimental.cert-manager.io/request-is-ca',
  privateKeySecretName: 'experimental.cert-manager.io/private-key-secret-name',
} as const;

/** For the injection of CAs into webhooks, API services and CustomResourceDefinitions. */
export const injectionAnnotations = {
  injectCaFrom: 'cert-manager.io/inject-ca-from',
  injectCaFromSecret: 'cert-manager.io/inject-ca-from-secret',
  injectApiserverCa: 'cert-manager.io/inject-apiserver-ca',
  /** The one annotation under cert-manager.io that `secretTemplate` may set. */
  allowDirectInjection: 'cert-manager.io/allow-direct-injection',
} as const;

export const finalizers = {
  challenge: 'acme.cert-manager.io/finalizer',
  /** Written by old versions, still removed. */
  challengeLegacy: 'finalizer.acme.cert-manager.io',
} as const;

/** Keys of the target Secret. */
export const secretKeys = {
  certificate: 'tls.crt',
  privateKey: 'tls.key',
  ca: 'ca.crt',
  der: 'key.der',
  combinedPem: 'tls-combined.pem',
  jks: 'keystore.jks',
  jksTruststore: 'truststore.jks',
  pkcs12: 'keystore.p12',
  pkcs12Truststore: 'truststore.p12',
} as const;

export const conditionTypes = {
  ready: 'Ready',
  issuing: 'Issuing',
  approved: 'Approved',
  denied: 'Denied',
  invalidRequest: 'InvalidRequest',
} as const;

/** Reasons of a Certificate's Ready and Issuing, and of what the policies find. */
export const certificateReasons = {
  ready: 'Ready',
  doesNotExist: 'DoesNotExist',
  missingData: 'MissingData',
  invalidKeyPair: 'InvalidKeyPair',
  invalidCertificate: 'InvalidCertificate',
  invalidCertificateRequest: 'InvalidCertificateRequest',
  secretMismatch: 'SecretMismatch',
  incorrectIssuer: 'IncorrectIssuer',
  incorrectCertificate: 'IncorrectCertificate',
  requestChanged: 'RequestChanged',
  expired: 'Expired',
  windowError: 'WindowError',
  renewing: 'Renewing',
  /** Set by `cmctl renew`. */
  manuallyTriggered: 'ManuallyTriggered',
  issued: 'Issued',
  failed: 'Failed',
  denied: 'Denied',
  invalidRequest: 'InvalidRequest',
  // Only for writing the Secret again.
  secretTemplateMismatch: 'SecretTemplateMismatch',
  secretManagedMetadataMismatch: 'SecretManagedMetadataMismatch',
  additionalOutputFormatsMismatch: 'AdditionalOutputFormatsMismatch',
  managedFieldsParseError: 'ManagedFieldsParseError',
  secretOwnerRefMismatch: 'SecretOwnerRefMismatch',
} as const;

/** Reasons of a CertificateRequest's Ready. */
export const requestReasons = {
  pending: 'Pending',
  failed: 'Failed',
  issued: 'Issued',
  denied: 'Denied',
} as const;

/** Reason of the condition and of the event when our own approver has approved a request. */
export const APPROVED_REASON = 'cert-manager.io';

/** Reasons of an Issuer's or ClusterIssuer's Ready. */
export const issuerReasons = {
  isReady: 'IsReady',
  keyPairVerified: 'KeyPairVerified',
  errGetKeyPair: 'ErrGetKeyPair',
  errInvalidKeyPair: 'ErrInvalidKeyPair',
  errInitIssuer: 'ErrInitIssuer',
  invalidConfig: 'InvalidConfig',
  invalidSolver: 'InvalidSolver',
  acmeAccountRegistered: 'ACMEAccountRegistered',
  errRegisterAcmeAccount: 'ErrRegisterACMEAccount',
  errVerifyAcmeAccount: 'ErrVerifyACMEAccount',
  errUpdateAcmeAccount: 'ErrUpdateACMEAccount',
  vaultVerified: 'VaultVerified',
  vaultError: 'VaultError',
} as const;

/** Reasons of a Certificate's events; a failure's event carries the reason of the failure. */
export const certificateEvents = {
  issuing: 'Issuing',
  generated: 'Generated',
  reused: 'Reused',
  deleted: 'Deleted',
  requested: 'Requested',
  requestFailed: 'RequestFailed',
  cannotRegenerateKey: 'CannotRegenerateKey',
  decodeFailed: 'DecodeFailed',
  keystorePasswordSecretNotFound: 'KeystorePasswordSecretNotFound',
  windowError: 'WindowError',
  ariError: 'ARIError',
} as const;

/** Reasons of a CertificateRequest's events. */
export const requestEvents = {
  approved: APPROVED_REASON,
  waitingForApproval: 'WaitingForApproval',
  certificateIssued: 'CertificateIssued',
  issuerNotFound: 'IssuerNotFound',
  issuerNotReady: 'IssuerNotReady',
  missingAnnotation: 'MissingAnnotation',
  missingSecret: 'MissingSecret',
  errorParsingKey: 'ErrorParsingKey',
  errorGenerating: 'ErrorGenerating',
  errorKeyMatch: 'ErrorKeyMatch',
  errorSigning: 'ErrorSigning',
  signingError: 'SigningError',
  secretMissing: 'SecretMissing',
  secretInvalidData: 'SecretInvalidData',
  badConfig: 'BadConfig',
  orderCreated: 'OrderCreated',
  orderPending: 'OrderPending',
  orderFailed: 'OrderFailed',
  invalidOrder: 'InvalidOrder',
  requestParsingError: 'RequestParsingError',
} as const;

/** Reasons of the events of a CertificateSigningRequest of Kubernetes. */
export const signingRequestEvents = {
  waitingApproval: 'WaitingApproval',
  certificateIssued: 'CertificateIssued',
  issuerNotFound: 'IssuerNotFound',
  issuerTypeMissing: 'IssuerTypeMissing',
  issuerNotReady: 'IssuerNotReady',
  deniedReference: 'DeniedReference',
  errorParseDuration: 'ErrorParseDuration',
  invalidDuration: 'InvalidDuration',
  signingError: 'SigningError',
  secretMissing: 'SecretMissing',
  secretNotFound: 'SecretNotFound',
  secretGetError: 'SecretGetError',
  secretInvalidData: 'SecretInvalidData',
  missingAnnotation: 'MissingAnnotation',
  errorParsingKey: 'ErrorParsingKey',
  errorGenerating: 'ErrorGenerating',
  errorKeyMatch: 'ErrorKeyMatch',
  errorPublicKey: 'ErrorPublicKey',
  errorSigning: 'ErrorSigning',
  errorUpdate: 'ErrorUpdate',
  requestParsingError: 'RequestParsingError',
} as const;
