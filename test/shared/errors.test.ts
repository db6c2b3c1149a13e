import test from 'ava';
import {CodedError, isErrno, messageOf} from '#shared/errors';

test('a CodedError carries code, message, hint and cause', t => {
  const cause = new Error('ENOENT');
  const error = new CodedError('ERR_EXAMPLE', 'cannot read /x', {hint: 'create /x', cause});
  t.is(error.code, 'ERR_EXAMPLE');
  t.is(error.hint, 'create /x');
  t.is(error.cause, cause);
  t.is(messageOf(error), 'cannot read /x');
});

test('messageOf() prints what is not an Error', t => {
  t.is(messageOf('plain'), 'plain');
});

test('isErrno() tells a system error by its code and nothing else', t => {
  t.true(isErrno(Object.assign(new Error('x'), {code: 'ENOENT'}), 'ENOENT'));
  t.false(isErrno(Object.assign(new Error('x'), {code: 'EPERM'}), 'ENOENT'));
  t.false(isErrno({code: 'ENOENT'}, 'ENOENT'));
});
