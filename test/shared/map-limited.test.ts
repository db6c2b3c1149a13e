import {mapLimited} from '#shared/map-limited';
import test from 'ava';

test('mapLimited() keeps the order and the limit', async t => {
  let [running, most] = [0, 0];
  const doubled = await mapLimited([1, 2, 3, 4, 5], 2, async number => {
    most = Math.max(most, ++running);
    await Promise.resolve();
    running -= 1;
    return number * 2;
  });
  t.deepEqual(doubled, [2, 4, 6, 8, 10]);
  t.is(most, 2);
});

test('mapLimited() begins nothing after a failure and waits for what runs', async t => {
  const begun: number[] = [];
  const mapping = mapLimited([1, 2, 3, 4], 1, async number => {
    begun.push(number);
    await Promise.resolve();
    if (number === 2) throw new Error('two');
  });
  await t.throwsAsync(mapping, {message: 'two'});
  t.deepEqual(begun, [1, 2]);
});
