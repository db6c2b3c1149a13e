import {sha256Hex} from '#shared/digest';
import type {LineBlockResource} from '../role/resource.ts';
import {quote} from '#shared/quote';
import type {ResourceKind} from './kind.ts';
import {heredoc} from './prelude.ts';
import {diffText} from './text-diff.ts';

export const lineBlockKind: ResourceKind<LineBlockResource> = {
  digest: ({lines}) => sha256Hex(lines.join('\n')),

  diff(block, {probe}) {
    const present = probe.contents.get(block.path) ?? '';
    const {kept, blocks} = splitText(present, block.name);
    const [found, ...others] = blocks;
    const isEqual = found?.join('\n') === block.lines.join('\n');
    // Where the block stands does not matter: others may have written lines below it.
    if (found !== undefined && others.length === 0 && isEqual) return undefined;
    const wanted = [...kept, ...blockLines(block), ''].join('\n');
    const id = `line-block:${block.path}#${block.name}`;
    return {id, action: 'update', summary: 'lines differ', diff: diffText(present, wanted)};
  },

  // The rest of the file is whatever it is at that moment; only the block is ours.
  apply: block => rewrite(block, `\n${heredoc('base64 -d', `${blockLines(block).join('\n')}\n`)}`),

  remove(id) {
    const at = id.lastIndexOf('#');
    const [path, name] = [id.slice(0, at), id.slice(at + 1)];
    return `if [ -f ${quote([path])} ]; then\n${rewrite({path, name}, '')}\nfi`;
  },
};

const begin = (name: string) => `# BEGIN slipway ${name}`;
const end = (name: string) => `# END slipway ${name}`;

const blockLines = ({name, lines}: LineBlockResource) => [begin(name), ...lines, end(name)];

/** What is ours in a text and what is not. A block without its end is only its first line. */
function splitText(text: string, name: string) {
  const kept: string[] = [];
  const blocks: (readonly string[])[] = [];
  let open: string[] | undefined;
  const giveUp = () => {
    kept.push(...(open ?? []));
    open = undefined;
  };
  for (const line of text.split('\n')) {
    if (line === begin(name)) {
      giveUp();
      open = [];
    } else if (line === end(name)) {
      if (open !== undefined) blocks.push(open);
      open = undefined;
    } else (open ?? kept).push(line);
  }
  giveUp();
  if (kept.at(-1) === '') kept.pop();
  return {kept, blocks};
}

/** The same in awk, in one go with what `append` prints: readers see the old or the new file. */
function rewrite({path, name}: Pick<LineBlockResource, 'path' | 'name'>, append: string): string {
  const [file, part] = [quote([path]), quote([`${path}.slipway`])];
  const awk = [
    'function giveUp() { printf "%s", held; held = ""; open = 0 }',
    `$0 == "${begin(name)}" { giveUp(); open = 1; next }`,
    `$0 == "${end(name)}" { held = ""; open = 0; next }`,
    'open { held = held $0 "\\n"; next }',
    '{ print }',
    'END { giveUp() }',
  ].join('\n');
  return [
    `[ -e ${file} ] || : > ${file}`,
    `cp -p ${file} ${part}`,
    `{ awk ${quote([awk])} ${file}${append}`,
    `} > ${part}`,
    `mv -fT ${part} ${file}`,
  ].join('\n');
}
