import type {Readable} from 'node:stream';
import type {TerminalSize} from '../sys/terminal.ts';

const MESSAGE_BYTES_MAX = 1024;
const CELLS_MAX = 0xffff; // struct winsize has 16 bits

/**
 * The sizes that a client sends as `{"Width":80,"Height":24}`, one after the other. What is no
 * size is left out.
 */
export async function* resizes(stream: Readable | undefined): AsyncGenerator<TerminalSize> {
  if (stream === undefined) return;
  let text = '';
  try {
    for await (const chunk of stream) {
      text += String(chunk);
      let end = text.indexOf('}');
      for (; end >= 0; end = text.indexOf('}')) {
        const size = parseSize(text.slice(0, end + 1));
        text = text.slice(end + 1);
        if (size !== undefined) yield size;
      }
      if (text.length > MESSAGE_BYTES_MAX) return;
    }
  } catch {
    // The client has gone; its sizes end with it.
  }
}

function parseSize(text: string): TerminalSize | undefined {
  try {
    const {Width: columns, Height: rows} = JSON.parse(text) as Record<string, unknown>;
    return isCells(rows) && isCells(columns) ? {rows, columns} : undefined;
  } catch {
    return undefined;
  }
}

const isCells = (value: unknown): value is number =>
  Number.isInteger(value) && Number(value) > 0 && Number(value) <= CELLS_MAX;
