/**
 * Versions of Kubernetes that this program brings up, newest first. One is added when the test of
 * the whole program has passed with it.
 */
export const kubernetesVersions = ['1.36.3'] as const;
