import test from 'ava';
import {confirm} from '#provisioner/cli/apply-command';
import type {CommandInput} from '#provisioner/cli/context';

function anInput(answer: string, {isTerminal = true, yes = false} = {}): CommandInput {
  const asked = {
    args: {options: {yes, output: 'text'}},
    output: {isTerminal},
    signal: new AbortController().signal,
    ask: () => Promise.resolve(answer),
  };
  return asked as unknown as CommandInput;
}

test('only y is a yes; anything else ends the command with an exit code of its own', async t => {
  for (const answer of ['y', 'YES ', 'Yes'])
    await t.notThrowsAsync(confirm(anInput(answer), 'So?'));
  for (const answer of ['', 'n', 'yeah', 'no']) {
    await t.throwsAsync(confirm(anInput(answer), 'So?'), {code: 'ERR_DECLINED'});
  }
});

test('where nobody can be asked, --yes answers', async t => {
  const nobody = {isTerminal: false};
  await t.throwsAsync(confirm(anInput('y', nobody), 'So?'), {code: 'ERR_CONFIRMATION_NEEDED'});
  await t.notThrowsAsync(confirm(anInput('n', {...nobody, yes: true}), 'So?'));
});
