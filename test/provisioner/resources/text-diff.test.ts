import test from 'ava';
import {diffText} from '#provisioner/resources/text-diff';

const shows = test.macro((t, before: string, after: string, expected: string) => {
  t.is(diffText(before, after), expected);
});

test('equal texts have an empty diff', shows, 'a\nb\n', 'a\nb\n', '');
test('a new text is all plus', shows, '', 'a\nb\n', '+a\n+b');
test('a text that goes is all minus', shows, 'a\nb', '', '-a\n-b');
test('a missing end of line is no change of the line', shows, 'a', 'a\n', '');
test('a changed line stands between its neighbours', shows, 'a\nb\nc\n', 'a\nx\nc\n', ' a\n-b\n+x\n c'); // prettier-ignore
test('two lines of context, and a mark between places', shows, '1\n2\n3\n4\n5\n6\n7\n8\n9\n', 'x\n2\n3\n4\n5\n6\n7\n8\ny\n', '-1\n+x\n 2\n 3\n@@\n 7\n 8\n-9\n+y'); // prettier-ignore
test('lines that moved are taken out and put in', shows, 'a\nb\n', 'b\na\n', '-a\n b\n+a');
test('empty lines count', shows, 'a\n\nb\n', 'a\nb\n', ' a\n-\n b');

test('texts of more than 2,000 lines are summed up', t => {
  const long = 'x\n'.repeat(2_001);
  t.is(diffText(long, 'x\n'), '@@ 2001 lines → 1 lines @@');
  t.is(diffText('', long), '@@ 0 lines → 2001 lines @@');
});
