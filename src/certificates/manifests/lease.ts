/** cert-manager's own Lease: while one of both holds it, the other does nothing. */
export const LEASE_NAME = 'cert-manager-controller';
/** Where cert-manager's chart has it: who takes over must wait for the same one. */
export const LEASE_NAMESPACE = 'kube-system';
