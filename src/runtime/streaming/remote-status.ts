/** Statuses (`metav1.Status`) that a remote command ends with, from protocol v4 on. */
const status = (fields: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({metadata: {}, ...fields});

export const successStatus = (): string => status({status: 'Success'});

/** The command ran and ended with this code. */
export const failedStatus = (exitCode: number): string =>
  status({
    status: 'Failure',
    message: `command terminated with non-zero exit code: ${exitCode}`,
    reason: 'NonZeroExitCode',
    details: {causes: [{reason: 'ExitCode', message: String(exitCode)}]},
  });

/** The command could not be run. */
export const messageStatus = (message: string): string =>
  status({status: 'Failure', message, reason: 'InternalError', code: 500});
