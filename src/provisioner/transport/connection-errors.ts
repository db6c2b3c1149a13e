import {CodedError} from '#shared/errors';
import type {ProvisionerErrorCode} from '../errors.ts';
import type {SshTarget} from './connection.ts';
import {OUTPUT_LIMIT_BYTES} from './shell.ts';

export type TransportError = CodedError<ProvisionerErrorCode>;

const at = ({host, address, port}: SshTarget): string => `${host} (${address}:${port})`;

export const unreachable = (target: SshTarget, reason: string, cause: unknown): TransportError =>
  new CodedError('ERR_HOST_UNREACHABLE', `cannot reach ${at(target)} over SSH: ${reason}`, {
    hint: `see that it is up and that "ssh -p ${target.port} ${target.user}@${target.address}" works from here`,
    cause,
  });

export const connectionLost = (target: SshTarget, reason: string): TransportError =>
  new CodedError('ERR_CONNECTION_LOST', `${at(target)}: connection lost: ${reason}`, {
    hint: 'see that the host is up, then run the same command again; it continues',
  });

export const shellUnavailable = (target: SshTarget, reason: string): TransportError =>
  new CodedError(
    'ERR_SHELL_UNAVAILABLE',
    `${at(target)} gives user ${target.user} no shell: ${reason}`,
    {
      hint: `see that "ssh -p ${target.port} ${target.user}@${target.address} /bin/sh -c true" works, and MaxSessions and ForceCommand in sshd_config`,
    },
  );

export const sudoRefused = (target: SshTarget, reason: string): TransportError =>
  new CodedError('ERR_SUDO_REFUSED', `${at(target)}: sudo refused user ${target.user}: ${reason}`, {
    hint: `allow it there without a password: "${target.user} ALL=(ALL) NOPASSWD: ALL" in /etc/sudoers.d, or connect as root`,
  });

export const timedOut = (target: SshTarget, timeoutMs: number): TransportError =>
  new CodedError(
    'ERR_HOST_TIMEOUT',
    `${target.host}: a script did not end within ${timeoutMs / 1000} s and was killed`,
    {hint: `look at the load of ${target.host}, then run the same command again`},
  );

export const outputTooLarge = (target: SshTarget, stream: string): TransportError =>
  new CodedError(
    'ERR_HOST_OUTPUT_TOO_LARGE',
    `${target.host}: a script printed more than ${OUTPUT_LIMIT_BYTES} bytes on ${stream} and was killed`,
    {hint: `look for a command on ${target.host} that prints without end`},
  );

export const payloadChanged = (target: SshTarget, found: string): TransportError =>
  new CodedError(
    'ERR_PAYLOAD_CHANGED',
    `${target.host}: a file changed while it was sent: ${found}`,
    {hint: 'let nothing else write to the artifacts’ cache, then run the same command again'},
  );

export const forwardRefused = (target: SshTarget, port: number, cause: Error): TransportError =>
  new CodedError(
    'ERR_FORWARD_REFUSED',
    `${at(target)} would not forward to its port ${port}: ${cause.message}`,
    {hint: 'see that something listens there, and AllowTcpForwarding in sshd_config', cause},
  );
