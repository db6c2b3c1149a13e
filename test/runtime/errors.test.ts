import {readFileSync} from 'node:fs';
import {commandErrors, runtimeErrors} from '#runtime/errors';
import test from 'ava';

const text = readFileSync(new URL('../../docs/runtime-errors.md', import.meta.url), 'utf8');
const rows = [...text.matchAll(/^\| `(ERR_\w+)` \| (\w+) \| (.+) \| (.+) \|$/gm)];

test('docs/runtime-errors.md has a row for every code, with its status or exit code, and no other', t => {
  const documented = rows.map(([, code, status]) => `${code} ${status}`).sort();
  const known = [...Object.entries(runtimeErrors), ...Object.entries(commandErrors)]
    .map(([code, status]) => `${code} ${status}`)
    .sort();
  t.deepEqual(documented, known);
});

test('every row says when and what to do next', t => {
  for (const [, code, , when = '', next = ''] of rows) {
    t.true(when.length > 10 && next.length > 5, code);
  }
});
