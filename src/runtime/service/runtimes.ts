import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {OciRuntime} from '../oci/oci-runtime.ts';

/** The OCI runtimes by handler, as RuntimeClass names them. */
export interface Runtimes {
  /** Names, the default first. */
  readonly names: readonly string[];
  /**
   * @param handler empty for the default
   * @throws CodedError `ERR_RUNTIME_HANDLER_UNKNOWN`
   */
  get(handler: string): OciRuntime;
}

export function runtimesByHandler(
  runtimes: Readonly<Record<string, OciRuntime>>,
  defaultName: string,
): Runtimes {
  const names = [defaultName, ...Object.keys(runtimes).filter(name => name !== defaultName)];
  return {
    names,
    get(handler) {
      const name = handler === '' ? defaultName : handler;
      const runtime = Object.hasOwn(runtimes, name) ? runtimes[name] : undefined;
      if (runtime) return runtime;
      throw new CodedError<RuntimeErrorCode>(
        'ERR_RUNTIME_HANDLER_UNKNOWN',
        `no runtime handler ${JSON.stringify(name)}; there are: ${names.join(', ')}`,
        {hint: 'name one of them in the RuntimeClass, or add the handler under [runtimes]'},
      );
    },
  };
}
