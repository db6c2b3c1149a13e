import {readdir, readFile} from 'node:fs/promises';
import {join, relative} from 'node:path';
import Handlebars from 'handlebars';
import {messageOf} from '#shared/errors';

const TEMPLATE_BYTES_MAX = 65_536;

/** Renders `<folder>/<file>` of templates/, without `.hbs`. */
export type Render = (name: string, values: Readonly<Record<string, unknown>>) => string;

/**
 * Compiles every template below a directory. Strict: a value that a template names and the caller
 * does not give is an error; nothing is escaped, since the results are configuration, not HTML.
 */
export async function loadTemplates(directory: string): Promise<Render> {
  const entries = await readdir(directory, {recursive: true, withFileTypes: true});
  const files = entries.filter(entry => entry.isFile() && entry.name.endsWith('.hbs'));
  const compiled = new Map<string, Handlebars.TemplateDelegate>();
  for (const entry of files) {
    const path = join(entry.parentPath, entry.name);
    const text = await readFile(path, 'utf8');
    if (text.length > TEMPLATE_BYTES_MAX) throw new TypeError(`template too large: ${path}`);
    const name = relative(directory, path).replace(/\.hbs$/, '');
    compiled.set(name, Handlebars.compile(text, {strict: true, noEscape: true}));
  }
  return (name, values) => {
    const template = compiled.get(name);
    if (template === undefined) throw new TypeError(`no template ${name} in ${directory}`);
    try {
      return template(values);
    } catch (cause) {
      // The library's own exceptions are no real Errors and do not name the template.
      throw new TypeError(`templates/${name}.hbs: ${messageOf(cause)}`, {cause});
    }
  };
}
