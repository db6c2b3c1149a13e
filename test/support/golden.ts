import {existsSync, readFileSync, writeFileSync} from 'node:fs';
import type {ExecutionContext} from 'ava';

/**
 * Compares a text with a file that is reviewed as a diff. To write the files anew after a change
 * that was meant: UPDATE_GOLDEN=1 npx ava test/<folder>
 */
export function isGolden(t: ExecutionContext, text: string, url: URL): void {
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(url, text);
  t.is(text, existsSync(url) ? readFileSync(url, 'utf8') : '');
}
