import test from 'ava';
import {lineOfTomlKey, parseToml, TomlSyntaxError} from '#shared/toml';

test('tables, arrays of tables, texts and numbers become plain values', t => {
  t.deepEqual(parseToml('a = 1\n[b]\nc = "d"\n[[e]]\nf = [true]\n[[e]]\n'), {
    a: 1,
    b: {c: 'd'},
    e: [{f: [true]}, {}],
  });
});

test('a text that is no TOML is refused with its line and column', t => {
  const error = t.throws(() => parseToml('a = 1\nb = = 2\n'), {instanceOf: TomlSyntaxError});
  t.is(error.line, 2);
  t.true(error.column > 1);
  t.false(error.message.includes('\n'));
});

test('a whole number that a double cannot hold is refused', t => {
  t.throws(() => parseToml('a = 9007199254740993'), {instanceOf: TomlSyntaxError});
});

test('a key that would change all objects is a key like any other', t => {
  const value = parseToml('__proto__ = 1\n[constructor]\nprototype = 2');
  t.is(Object.getPrototypeOf({}), Object.prototype);
  t.true(Object.hasOwn(value, 'constructor'));
});

test('a key is found by its line, in tables and with dots', t => {
  const text = '# x\na = 1\n\n[b]\nc = 2\n  "d" = 3\n[b.e]\nf.g = 4\n[[h]]\n';
  const line = (...path: readonly string[]) => lineOfTomlKey(text, path);
  t.deepEqual(
    [line('a'), line('b'), line('b', 'c'), line('b', 'd'), line('b', 'e', 'f', 'g'), line('h')],
    [2, 4, 5, 6, 8, 9],
  );
  t.is(line('c'), undefined);
});
