import test from 'ava';
import {createTimetable} from '#certificates/kube/timetable';

test('a timetable gives what is due in order, whatever was replaced and taken back', t => {
  const timetable = createTimetable();
  const expected = new Map<string, number>();
  let seed = 7;
  const random = (most: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor(seed / 4_096) % most;
  };
  for (let step = 0; step < 5_000; step += 1) {
    const key = `key-${random(200)}`;
    if (random(4) === 0) {
      timetable.delete(key);
      expected.delete(key);
    } else {
      const at = random(1_000);
      timetable.set(key, at);
      expected.set(key, at);
    }
    if (step % 500 === 499) {
      const due = timetable.takeDue(300);
      const instants = due.map(each => expected.get(each) ?? NaN);
      t.deepEqual(
        instants,
        [...instants].sort((a, b) => a - b),
      );
      const all = [...expected].filter(([, at]) => at <= 300).map(([each]) => each);
      t.deepEqual([...due].sort(), all.sort());
      for (const each of due) expected.delete(each);
    }
    t.is(timetable.size, expected.size);
  }
  t.is(timetable.earliest(), Math.min(...expected.values()));
});
