import test from 'ava';
import {backoffMs} from '#certificates/policies/back-off';

const HOUR_MS = 3_600_000;
const limits = {minimumBackoffMs: HOUR_MS, maximumBackoffMs: 32 * HOUR_MS};

for (const [attempts, hours] of [
  [1, 1],
  [2, 2],
  [3, 4],
  [4, 8],
  [5, 16],
  [6, 32],
  [7, 32],
  [100, 32],
  [1e9, 32],
  [0, 1],
  [-5, 1],
] as const) {
  test(`back-off after ${attempts} failures is ${hours} h`, t => {
    t.is(backoffMs(attempts, limits), hours * HOUR_MS);
  });
}

test('back-off: a maximum below the minimum is the minimum', t => {
  t.is(backoffMs(9, {minimumBackoffMs: 5_000, maximumBackoffMs: 1_000}), 5_000);
});
