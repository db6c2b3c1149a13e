import test, {type ExecutionContext} from 'ava';
import {
  formatYaml,
  formatYamlDocuments,
  parseYaml,
  parseYamlDocuments,
  YamlError,
  type YamlErrorCode,
} from '#shared/yaml';

const file = 'cluster.yaml';
const parse = (text: string) => parseYaml(text, {file});

test('parseYaml() returns values and where each was written', t => {
  const document = parse('a: 1\nb:\n  - c: "x"\n  - [d, {e: f}]\n');
  t.deepEqual(document.value, {a: 1, b: [{c: 'x'}, ['d', {e: 'f'}]]});
  t.deepEqual(document.positionOf([]), {line: 1, column: 1});
  t.deepEqual(document.positionOf(['b']), {line: 2, column: 1});
  t.deepEqual(document.positionOf(['b', 0, 'c']), {line: 3, column: 5});
  t.deepEqual(document.positionOf(['b', 1]), {line: 4, column: 5});
  t.deepEqual(document.positionOf(['b', 1, 1, 'e']), {line: 4, column: 10});
  t.is(document.positionOf(['b', 2]), undefined);
  t.is(document.positionOf(['constructor']), undefined);
});

test('an alias has the value of its anchor, and the places inside it', t => {
  const document = parse('a: &x\n  k: 1\nb: *x\n');
  t.deepEqual(document.value, {a: {k: 1}, b: {k: 1}});
  t.deepEqual(document.positionOf(['b']), {line: 3, column: 1});
  t.deepEqual(document.positionOf(['b', 'k']), {line: 2, column: 3});
});

test('an empty text, or one of comments only, is null', t => {
  for (const text of ['', '# nothing\n', '---\n']) t.is(parse(text).value, null);
});

test('dates, versions and "yes" stay strings', t => {
  t.deepEqual(parse('[2026-01-01, 1.36.3, yes]').value, ['2026-01-01', '1.36.3', 'yes']);
});

const refuses = test.macro(
  (t: ExecutionContext, text: string, code: YamlErrorCode, line: number, column: number) => {
    const error = t.throws(() => parse(text), {instanceOf: YamlError, code});
    t.deepEqual(error.position, {line, column});
    t.true(error.message.startsWith(`${file}:${line}:${column}: `), error.message);
    t.false(error.message.includes('\n'));
  },
);
test('an unclosed bracket is refused', refuses, 'a: [\n', 'ERR_YAML_INVALID', 2, 1);
test('a duplicate key is refused at its second place', refuses, 'a: 1\nb: 2\na: 3\n', 'ERR_YAML_INVALID', 3, 1); // prettier-ignore
test('a tab as indentation is refused', refuses, 'a:\n\tb: 1\n', 'ERR_YAML_INVALID', 2, 1);
test('an unknown tag is refused', refuses, 'a: !!js/function x\n', 'ERR_YAML_INVALID', 1, 4);
test('an unknown alias is refused', refuses, 'a: *x\n', 'ERR_YAML_INVALID', 1, 5);
test('an alias that contains itself is refused', refuses, 'a: &x [*x]\n', 'ERR_YAML_INVALID', 1, 9);
test('a list as a key is refused', refuses, '? [a]\n: 1\n', 'ERR_YAML_INVALID', 1, 1);
test('a second document is refused', refuses, 'a: 1\n---\nb: 1\n', 'ERR_YAML_INVALID', 3, 1);
test('a text nested too deeply is refused', refuses, '['.repeat(65), 'ERR_YAML_LIMIT', 1, 64);

test('an alias bomb is refused at once', t => {
  const levels = Array.from({length: 30}, (_, n) => `l${n}: &l${n} [${`*l${n - 1}, `.repeat(9)}]`);
  const bomb = ['l0: &l0 [x]', ...levels.slice(1)].join('\n');
  t.throws(() => parse(bomb), {instanceOf: YamlError, code: 'ERR_YAML_LIMIT'});
});

test('an alias to a bomb that is built of nested anchors is refused too', t => {
  const text = `a: &a [${'x,'.repeat(300)}]\nb: &b [${'*a,'.repeat(300)}]\nc: [*b, *b, *b, *b, *b, *b]`;
  const error = t.throws(() => parse(text), {instanceOf: YamlError, code: 'ERR_YAML_LIMIT'});
  t.is(error.position.line, 3);
});

test('a text that is too long is refused before it is parsed', t => {
  t.throws(() => parseYaml('a: [', {file, lengthMax: 3}), {code: 'ERR_YAML_LIMIT'});
});

test('parseYamlDocuments() keeps documents and their places apart', t => {
  const [first, second] = parseYamlDocuments('a: 1\n---\nb: 2\n', {file});
  t.deepEqual(first?.value, {a: 1});
  t.deepEqual(second?.value, {b: 2});
  t.deepEqual(second?.positionOf(['b']), {line: 3, column: 1});
  t.deepEqual(parseYamlDocuments('', {file}), []);
});

test('formatYaml() is read back as it was, without folds or anchors', t => {
  const shared = {k: 'v'};
  const value = {
    long: 'word '.repeat(60).trim(),
    lines: 'a\nb\n',
    words: ['yes', '012', '12:30', '', ' x', 'a: b', '1e3', '~', '#'],
    numbers: [0, -1, 1.5],
    none: null,
    first: shared,
    second: shared,
    empty: {list: [], map: {}},
  };
  const text = formatYaml(value);
  t.deepEqual(parse(text).value, value);
  t.false(/[&*]/.test(text));
  t.true(text.includes(`long: ${value.long}\n`));
});

test('formatYaml() leaves out keys whose value is undefined', t => {
  t.is(formatYaml({a: undefined, b: 1}), 'b: 1\n');
});

test('formatYamlDocuments() begins each document with a marker', t => {
  t.is(formatYamlDocuments([{a: 1}, {b: 2}]), '---\na: 1\n---\nb: 2\n');
});
