import {subscribe, unsubscribe} from 'node:diagnostics_channel';

/**
 * grpc-js puts a call's time-out into a timer of 31 bits of milliseconds, so one of more than 24.8
 * days would end the call at once. A kubelet sends such a time-out when it stops a pod whose grace
 * period is that long. Removes the header then: such a call has no deadline.
 *
 * @returns stops doing so
 */
export function clampTimeouts(): () => void {
  const onStream = (message: unknown): void => {
    const {headers} = message as {readonly headers: Record<string, unknown>};
    const timeout = headers['grpc-timeout'];
    if (typeof timeout === 'string' && isTooLong(timeout)) delete headers['grpc-timeout'];
  };
  subscribe(CHANNEL, onStream);
  return () => unsubscribe(CHANNEL, onStream);
}

/** node:diagnostics_channel, "HTTP/2": published with the headers before the stream is handled. */
const CHANNEL = 'http2.server.stream.created';

const TIMER_MS_MAX = 2 ** 31 - 1;

/** Milliseconds per unit; shorter units cannot get there with gRPC's eight digits. */
const UNITS_MS: Readonly<Record<string, number>> = {H: 3_600_000, M: 60_000, S: 1000, m: 1};

function isTooLong(timeout: string): boolean {
  return Number(timeout.slice(0, -1)) * (UNITS_MS[timeout.slice(-1)] ?? 0) > TIMER_MS_MAX;
}
