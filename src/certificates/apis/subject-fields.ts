/** Fields of `spec.subject` of a Certificate: none of them goes with a literal subject. */
export const SUBJECT_FIELDS = [
  'countries',
  'localities',
  'organizationalUnits',
  'organizations',
  'postalCodes',
  'provinces',
  'serialNumber',
  'streetAddresses',
] as const;
