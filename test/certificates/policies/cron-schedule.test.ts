import test from 'ava';
import {Cron} from 'croner';
import {standardSchedule} from '#certificates/policies/cron-schedule';

for (const [text, schedule] of [
  ['0 2 * * 6', '0 2 * * 6'],
  [' 0  2\t* * SAT ', '0 2 * * 6'],
  ['*/20 0-6/3 1,15 JAN-mar *', '0,20,40 0,3,6 1,15 1,2,3 *'],
  ['5/15 * ? * ?', '5,20,35,50 * * * *'],
  ['0 0 */1 * */2', '0 0 * * 0,2,4,6'],
  ['0 0 1,* * 1', '0 0 * * 1'],
  ['0 0 29 feb *', '0 0 29 2 *'],
  ['0 0 30-31 2,12 *', '0 0 30,31 2,12 *'],
  ['0 0 31 2 1', '0 0 31 2 1'], // either is enough
  ['0 0 1,1,,1 * *', '0 0 1 * *'],
  ['@daily', '0 0 * * *'],
  ['@Annually', '0 0 1 1 *'],
] as const) {
  test(`a schedule: ${JSON.stringify(text)}`, t => {
    t.is(standardSchedule(text), schedule);
    t.truthy(new Cron(schedule, {mode: '5-part', paused: true, timezone: 'UTC'}).nextRun());
  });
}

for (const text of [
  '',
  'every day',
  '* * * *',
  '* * * * * *',
  '@reboot',
  '@every 1h',
  'TZ=UTC 0 0 * * *',
  '60 0 * * *',
  '0 24 * * *',
  '0 0 0 * *',
  '0 0 * 13 *',
  '0 0 * * 7',
  '0 0 * * 5-1',
  '0 0 */0 * *',
  '0 0 , * *',
  '0 0 *-5 * *',
  '0 0 1-2-3 * *',
  '0 0 L * *',
  '0 0 15W * *',
  '0 0 * * 1#5',
  '0 0 31 2,4,6,9,11 +0-6',
  '0 0 30 2 *',
  '0 0 31 2,4-6/2,9,nov ?',
  `${'0,'.repeat(300)}0 0 * * *`,
]) {
  test(`no schedule: ${JSON.stringify(text.slice(0, 40))}`, t => {
    t.throws(() => standardSchedule(text), {code: 'ERR_SCHEDULE_INVALID'});
  });
}
