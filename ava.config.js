// Each level of tests has its own files. `test/run.ts` runs them all; by hand, one file of a level:
//   TEST_LEVEL=e2e npx ava test/e2e/10-refusals.test.ts
const levels = {
  unit: {
    files: ['test/**/*.test.ts', '!test/{integration,e2e,chaos}/**'],
    timeout: '60s',
  },
  // Compares the machine after a lab with the machine before it: nothing that makes links, rules or
  // control groups may run beside it.
  lab: {files: ['test/integration/lab/*.test.ts'], ...oneAtATime()},
  // Both use what a machine has once (a network, its control groups): one file, one test at a time.
  // `npm test` runs the two folders beside each other (test/support/run/level.ts).
  integration: {
    files: ['test/integration/*.test.ts', 'test/integration/certificates/*.test.ts'],
    ...oneAtATime(),
  },
  // In the order of their names: they share one lab, and the destructive ones come last.
  e2e: {files: ['test/e2e/*.test.ts'], ...oneAtATime()},
  // Takes minutes by nature, so it is no part of `npm test`; a lab of its own.
  chaos: {files: ['test/chaos/*.test.ts'], ...oneAtATime()},
};

const level = process.env.TEST_LEVEL ?? 'unit';
if (!(level in levels)) throw new Error(`TEST_LEVEL is ${level}, not ${Object.keys(levels)}`);

export default {
  extensions: ['ts'],
  nodeArguments: ['--import=./src/compile-cache.js'],
  ...levels[level],
};

function oneAtATime() {
  return {
    // As the programs run: the main thread gets signals, and descriptors of any origin are its own.
    workerThreads: false,
    concurrency: 1,
    serial: true,
    timeout: '15m',
    sortTestFiles: (a, b) => (a < b ? -1 : 1),
  };
}
