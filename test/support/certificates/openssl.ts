import {execFileSync} from 'node:child_process';

/**
 * Runs openssl and returns what it wrote. Its verdicts are what tests of certificates compare ours
 * with: it is in every Debian with the packages that the tests need anyway.
 *
 * @throws when openssl exits with another code than 0; its complaints are in the message
 */
export function openssl(args: readonly string[], input: string | Buffer = ''): string {
  return execFileSync('openssl', args, {
    input,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: 30_000,
  });
}
