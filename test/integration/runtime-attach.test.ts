import {attach} from '#runtime/conmon/attach';
import {isRunning, shell} from '#test/container';
import {testClient} from '#test/stream-io';
import {eventually} from '#test/eventually';
import {underRuntimes} from '#test/under-runtimes';
import test from 'ava';

const {signal} = new AbortController();
const runtimes = underRuntimes(test);

runtimes.each('a client attaches to pipes: both outputs, input, its end', async (t, bench) => {
  const container = await bench.start({
    ...shell('while read line; do echo got $line; echo err $line >&2; done; echo bye; exit 4'),
    stdin: true,
  });
  const client = testClient();
  const attached = attach({bundle: container.bundle, io: client.io, terminal: false, signal});
  client.stdin.write('one\n');
  await client.sees('got one');
  client.stdin.end('two\n');
  await attached;
  t.is(client.stdout(), 'got one\ngot two\nbye\n');
  t.is(client.stderr(), 'err one\nerr two\n');
  t.is((await container.exited).exitCode, 4);
  await t.throwsAsync(attach({bundle: container.bundle, io: client.io, terminal: false, signal}), {
    code: 'ERR_CONTAINER_STATE',
  });
});

runtimes.each('input that is kept open outlives its client', async (t, bench) => {
  const container = await bench.start({
    ...shell('while read line; do echo got $line; done'),
    stdin: true,
    leaveStdinOpen: true,
  });
  for (const word of ['first', 'second']) {
    const client = testClient();
    const gone = new AbortController();
    const attached = attach({
      bundle: container.bundle,
      io: client.io,
      terminal: false,
      signal: gone.signal,
    });
    client.stdin.write(`${word}\n`);
    await client.sees(`got ${word}`);
    if (word === 'first') client.stdin.end();
    gone.abort();
    await attached;
  }
  t.true(isRunning(container));
});

runtimes.each('3 MB go in and out of an attached container', async (t, bench) => {
  const container = await bench.start({command: ['cat'], stdin: true});
  const client = testClient();
  const attached = attach({bundle: container.bundle, io: client.io, terminal: false, signal});
  const text = Array.from({length: 300_000}, (_value, index) => String(index).padStart(9)).join(
    '\n',
  );
  client.stdin.end(text);
  await attached;
  t.true(client.stdout() === text);
});

runtimes.each('a client that reads nothing does not stop the container', async (t, bench) => {
  const container = await bench.start({
    ...shell('read go; head -c 4000000 /dev/zero | tr "\\0" "x" | fold -w 99; echo end'),
    stdin: true,
  });
  const idle = testClient();
  idle.stall();
  const gone = new AbortController();
  const stuck = attach({
    bundle: container.bundle,
    io: idle.io,
    terminal: false,
    signal: gone.signal,
  });
  idle.stdin.write('go\n');
  await container.exited;
  t.regex((await container.log()).slice(-200), / stdout F x*end\n$/);
  gone.abort();
  await stuck;
});

runtimes.each('a terminal has one output, the client’s size, and an echo', async (t, bench) => {
  const container = await bench.start({
    ...shell('while read line; do stty size; done'),
    terminal: true,
    stdin: true,
  });
  const client = testClient(['stderr']);
  const gone = new AbortController();
  const attached = attach({
    bundle: container.bundle,
    io: client.io,
    terminal: true,
    signal: gone.signal,
  });
  client.resize({rows: 31, columns: 97});
  await eventually(() => {
    client.stdin.write('\n');
    return client.stdout().includes('31 97');
  });
  gone.abort();
  await attached;
  t.regex(await container.log(), /stdout F 31 97\r\n/);
});
