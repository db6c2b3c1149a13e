import test from 'ava';
import {run} from '#shared/local-process';

const {signal} = new AbortController();
const UNDICI = 'NativeModule internal/deps/undici/undici';
const TELL = `process.on('exit', () => {
  console.error(process.moduleLoadList.includes(${JSON.stringify(UNDICI)}) ? 'loaded' : 'not loaded');
});`;

async function start(...words: readonly string[]): Promise<string> {
  const observer = `data:text/javascript,${encodeURIComponent(TELL)}`;
  const argv = [process.execPath, '--import', observer, ...words];
  const {stderr} = await run(argv, {signal});
  return stderr.trim().split('\n').at(-1) ?? '';
}

for (const [program, word] of [
  ['src/cli.ts', 'help'],
  ['src/runtime/main.ts', 'version'],
  ['src/certificates/main.ts', '--help'],
] as const) {
  test(`${program} starts without Node’s own undici`, async t => {
    t.is(await start(program, word), 'not loaded');
  });
}

test('an import of node:http would bring it: else there is nothing to avoid any more', async t => {
  const importing = 'data:text/javascript,import "node:http"';
  t.is(await start('--import', importing, '--eval', '0'), 'loaded');
});
