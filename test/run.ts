// Runs every test level that this machine can, and ends with `N passed, N failed`.
import {spawnSync} from 'node:child_process';

const check = spawnSync('npm', ['run', '--silent', 'check'], {stdio: 'inherit'});
const ava = spawnSync('ava', ['--tap'], {encoding: 'utf8'});
process.stdout.write(ava.stdout);
const passed = /^# pass (\d+)/m.exec(ava.stdout)?.[1] ?? '0';
const failed = /^# fail (\d+)/m.exec(ava.stdout)?.[1] ?? '1';
const checkFailed = check.status === 0 ? 0 : 1;
console.log(`${passed} passed, ${Number(failed) + checkFailed} failed`);
process.exitCode = checkFailed || ava.status === null ? 1 : ava.status;
