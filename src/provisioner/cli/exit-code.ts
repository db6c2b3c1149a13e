import {artifactsErrors} from '#artifacts/errors';
import {isCoded, type ErrorRegistry, type ExitCode} from '#shared/errors';
import {ociErrors} from '#shared/oci/errors';
import {kubeErrors} from '#shared/kube/errors';
import {provisionerErrors} from '../errors.ts';
import {ProblemsError} from '../problems-error.ts';

const registry: ErrorRegistry = {
  ...ociErrors,
  ...kubeErrors,
  ...artifactsErrors,
  ...provisionerErrors,
};

const EXIT_DEFECT = 1;

/** The exit code of what a command threw; of several failures the lowest. */
export function exitCodeOf(thrown: unknown): ExitCode {
  if (thrown instanceof ProblemsError) {
    const codes = thrown.problems.map(exitCodeOf);
    return codes.sort((a, b) => a - b)[0] ?? EXIT_DEFECT;
  }
  if (isCoded(thrown)) return codeIn(registry, thrown.code) ?? EXIT_DEFECT;
  return EXIT_DEFECT;
}

const codeIn = (codes: ErrorRegistry, code: string): ExitCode | undefined =>
  (codes as Readonly<Record<string, ExitCode>>)[code];
