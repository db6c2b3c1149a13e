import {CONTROLLERS} from './controller-names.ts';
import {FLAGS, type Flag} from './flag-table.ts';

/** What `--help` prints, with its end of line. */
export function formatHelp(): string {
  const flags = FLAGS.map((flag: Flag) => {
    const value = flag.default === '' ? '' : ` (default ${flag.default})`;
    return `  --${flag.name}${flag.kind === 'boolean' ? '' : '=…'}\n      ${flag.help}${value}.\n`;
  });
  const parts = Object.entries(CONTROLLERS).map(
    ([name, {does, inDefault}]) => `  ${name}: ${does}${inDefault ? '' : ' (off by default)'}\n`,
  );
  return `slipway-certs: issues and renews certificates, with cert-manager's API.

Flags, with the names and defaults of cert-manager's controller:
${flags.join('')}  --help, --version
      Print this, or the version.

Parts for --controllers:
${parts.join('')}`;
}

/** The rows of the flags in docs/certificates.md. */
export function flagRows(): readonly string[] {
  return FLAGS.map((flag: Flag) => {
    const value = flag.default === '' ? '' : `\`${flag.default}\``;
    return `| \`--${flag.name}\` | ${value} | ${flag.help} |`;
  });
}

/** The rows of the parts in docs/certificates.md. */
export function partRows(): readonly string[] {
  return Object.entries(CONTROLLERS).map(
    ([name, {does, inDefault}]) => `| \`${name}\` | ${inDefault ? 'on' : 'off'} | ${does} |`,
  );
}
