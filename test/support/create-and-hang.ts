/** A daemon that creates a container and then waits to be killed; for runtime-conmon.test.ts. */
import {rename, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {workbench} from '#test/container';
import {eventually} from '#test/eventually';

const {
  NAME: name = '',
  RUNTIME: runtimePath = '',
  CONMON: conmonPath = '',
  FOLDER = '',
} = process.env;
const bench = await workbench({name, runtimePath, conmonPath});
const script = 'trap "echo last words; exit 8" TERM; echo ready; while :; do sleep 0.05; done';
const container = await bench.start({command: ['/bin/sh', '-c', script]});
await eventually(async () => (await container.log()).includes('ready'));
const report = join(FOLDER, 'daemon.json');
await writeFile(
  `${report}.tmp`,
  JSON.stringify({...container, folder: bench.path, parent: bench.parent}),
);
await rename(`${report}.tmp`, report);
setInterval(() => undefined, 60_000);
