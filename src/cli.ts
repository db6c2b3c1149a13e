console.error('provision: not yet');
process.exitCode = 2;
