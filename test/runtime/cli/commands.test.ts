import {appendFileSync, renameSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {CodedError} from '#shared/errors';
import {receiveArchive} from '#runtime/cri/archive';
import {ContainerState, PodSandboxState} from '#runtime/cri/gen/cri-v1_pb';
import type {RuntimeServiceHandlers} from '#runtime/cri/handlers';
import {commandsOf, runCommand} from '#test/cri-command';
import {folderOf, type Answers} from '#test/cri-service';

const id = 'c'.repeat(64);
const podId = 'd'.repeat(64);

const pods = {
  items: [
    {
      id: podId,
      metadata: {name: 'web', namespace: 'shop', uid: 'u', attempt: 1},
      state: PodSandboxState.SANDBOX_READY,
    },
  ],
};

const containers = {
  containers: [
    {
      id,
      podSandboxId: podId,
      metadata: {name: 'nginx', attempt: 2},
      image: {image: `sha256:${'e'.repeat(64)}`, userSpecifiedImage: 'nginx:1'},
      state: ContainerState.CONTAINER_RUNNING,
    },
  ],
};

const missing = (what: string) =>
  Promise.reject(new CodedError('ERR_CONTAINER_NOT_FOUND', what, {hint: 'list them'}));

/** One pod with one container, found by the beginnings of their ids. */
const onePod = (more: Partial<RuntimeServiceHandlers> = {}): Answers => ({
  runtime: {
    listPodSandbox: () => Promise.resolve(pods),
    listContainers: () => Promise.resolve(containers),
    containerStatus: ({containerId}) =>
      id.startsWith(containerId)
        ? Promise.resolve({status: {id, state: ContainerState.CONTAINER_RUNNING}})
        : missing(containerId),
    podSandboxStatus: ({podSandboxId}) =>
      podId.startsWith(podSandboxId)
        ? Promise.resolve({status: {id: podId}})
        : missing(podSandboxId),
    ...more,
  },
  image: {
    imageStatus: ({image}) => Promise.resolve(image?.image === 'a' ? {image: {id: 'i'}} : {}),
  },
});

test('nobody on the socket is said, with what to do', async t => {
  const {exitCode, stderr} = await runCommand(['ps', '--socket', join(await folderOf(t), 'none')]);
  t.is(exitCode, 12);
  t.regex(stderr, /^ERR_DAEMON_UNREACHABLE: .* \(ENOENT\)\n {2}next: /);
});

test("the daemon's refusal is said with its code and next step", async t => {
  const run = await commandsOf(t, {
    runtime: {
      listPodSandbox: () =>
        Promise.reject(
          new CodedError('ERR_STATE_CORRUPT', 'a record is broken', {hint: 'remove it'}),
        ),
    },
  });
  const {exitCode, stderr} = await run(['pods']);
  t.is(exitCode, 15);
  t.is(stderr, 'ERR_STATE_CORRUPT: a record is broken\n  next: remove it\n');
});

test('a runtime that lacks an RPC is named with it', async t => {
  const run = await commandsOf(t, {});
  const {exitCode, stderr} = await run(['stats']);
  t.is(exitCode, 15);
  t.regex(stderr, /ListContainerStats/);
});

test('ps shows containers with their pods; -a asks for all', async t => {
  const asked: unknown[] = [];
  const run = await commandsOf(
    t,
    onePod({
      listContainers: ({filter}) => {
        asked.push(filter?.state?.state);
        return Promise.resolve(containers);
      },
    }),
  );
  const {exitCode, stdout} = await run(['ps']);
  t.is(exitCode, 0);
  t.deepEqual(
    stdout.split('\n').map(line => line.split(/ {2,}/).map(cell => cell.replace(/^\d+d$/, 'AGE'))),
    [
      ['CONTAINER', 'IMAGE', 'AGE', 'STATE', 'NAME', 'ATTEMPT', 'POD'],
      ['c'.repeat(13), 'nginx:1', 'AGE', 'running', 'nginx', '2', 'shop/web'],
      [''],
    ],
  );
  await run(['ps', '-a']);
  t.deepEqual(asked, [ContainerState.CONTAINER_RUNNING, undefined]);
});

test('lists are JSON with the names of CRI clients', async t => {
  const run = await commandsOf(t, {
    image: {
      listImages: () => Promise.resolve({images: [{id: 'i', repoTags: ['a:1'], size: 5n}]}),
    },
  });
  const {stdout} = await run(['images', '-o', 'json']);
  t.like(JSON.parse(stdout), {images: [{id: 'i', repoTags: ['a:1'], repoDigests: [], size: '5'}]});
});

test('pods, images and stats fit on lines', async t => {
  const run = await commandsOf(t, {
    runtime: {
      listPodSandbox: () => Promise.resolve(pods),
      listContainerStats: () =>
        Promise.resolve({
          stats: [
            {
              attributes: {
                id,
                metadata: {name: 'nginx'},
                labels: {'io.kubernetes.pod.name': 'web', 'io.kubernetes.pod.namespace': 'shop'},
              },
              cpu: {usageNanoCores: {value: 250_000_000n}},
              memory: {workingSetBytes: {value: 1_500_000n}},
            },
          ],
        }),
    },
    image: {
      listImages: () =>
        Promise.resolve({
          images: [
            {id: 'sha256:b', repoTags: ['b:1', 'a:1'], size: 999_950n, pinned: true},
            {id: 'sha256:c', size: 10n},
          ],
        }),
    },
  });
  t.regex(
    (await run(['pods'])).stdout,
    /^POD .*\nd{13} +\d+d +ready +shop\/web +1 +\(default\)\n$/,
  );
  t.regex((await run(['stats'])).stdout, /\nc{13} +nginx +25\.0% +1\.5MB +0B +shop\/web\n$/);
  t.regex(
    (await run(['images'])).stdout,
    /^IMAGE.*\n\(none\) +c +10B\na:1 +b +1\.0MB +pinned\nb:1 +b +1\.0MB +pinned\n$/,
  );
});

test('inspect finds containers, pods and images, and says what it found nowhere', async t => {
  const run = await commandsOf(t, onePod());
  t.like(JSON.parse((await run(['inspect', 'ccc'])).stdout), {status: {id}});
  t.like(JSON.parse((await run(['inspect', 'ddd'])).stdout), {status: {id: podId}});
  t.like(JSON.parse((await run(['inspect', 'a'])).stdout), {image: {id: 'i'}});
  const {exitCode, stderr} = await run(['inspect', 'nothing']);
  t.is(exitCode, 15);
  t.regex(stderr, /^ERR_NOT_FOUND/);
  t.is((await run(['inspect'])).exitCode, 2);
});

test("exec passes words on, and ends with the command's exit code", async t => {
  const run = await commandsOf(
    t,
    onePod({
      execSync: ({containerId, cmd, timeout}) => {
        t.deepEqual([containerId, cmd, timeout], [id, ['ls', '-l'], 3n]);
        return Promise.resolve({
          stdout: Buffer.from('out'),
          stderr: Buffer.from('err'),
          exitCode: 7,
        });
      },
    }),
  );
  t.deepEqual(await run(['--timeout', '3', 'exec', 'ccc', 'ls', '-l']), {
    exitCode: 7,
    stdout: 'out',
    stderr: 'err',
  });
  t.is((await run(['exec', 'ddd', 'ls'])).exitCode, 2, 'a pod is no container');
  t.is((await run(['exec', 'ccc'])).exitCode, 2, 'a command is missing');
});

test('pull fetches one after the other and stops at the first failure', async t => {
  const run = await commandsOf(t, {
    image: {
      pullImage: ({image}) =>
        image?.image === 'bad'
          ? Promise.reject(new CodedError('ERR_IMAGE_NOT_FOUND', 'no bad', {hint: 'look'}))
          : Promise.resolve({imageRef: `sha256:${image?.image ?? ''}`}),
    },
  });
  const {exitCode, stdout, stderr} = await run(['pull', 'a', 'bad', 'c']);
  t.deepEqual([exitCode, stdout], [15, 'a sha256:a\n']);
  t.regex(stderr, /^ERR_IMAGE_NOT_FOUND/);
});

test('image import sends a file or standard input, with names', async t => {
  const run = await commandsOf(t, {
    images: {
      import: async requests => {
        const {names, data} = await receiveArchive(requests);
        let text = '';
        for await (const bytes of data) text += Buffer.from(bytes).toString();
        return {images: [{id: text, repoTags: [...names]}]};
      },
    },
  });
  t.deepEqual(await run(['image', 'import', '-', '--name', 'a:1'], 'archive'), {
    exitCode: 0,
    stdout: 'a:1 archive\n',
    stderr: '',
  });
  const file = join(await folderOf(t), 'a.tar');
  writeFileSync(file, 'tar');
  t.is((await run(['image', 'import', file])).stdout, '(none) tar\n');
  const {exitCode, stderr} = await run(['image', 'import', `${file}x`]);
  t.is(exitCode, 14);
  t.regex(stderr, /^ERR_ARCHIVE_UNREADABLE/);
});

test('stop and rm tell pods from containers', async t => {
  const calls: string[] = [];
  const note = (name: string) => (request: object) => {
    const {containerId, podSandboxId} = request as Record<string, string | undefined>;
    calls.push(`${name} ${(containerId ?? podSandboxId ?? '').slice(0, 1)}`);
    return Promise.resolve({});
  };
  const run = await commandsOf(
    t,
    onePod({
      stopContainer: note('stopContainer'),
      stopPodSandbox: note('stopPod'),
      removeContainer: note('removeContainer'),
      removePodSandbox: note('removePod'),
    }),
  );
  await run(['stop', 'ccc', 'ddd']);
  await run(['rm', 'ccc', 'ddd']);
  t.deepEqual(calls, [
    'stopContainer c',
    'stopPod d',
    'removeContainer c',
    'stopPod d',
    'removePod d',
  ]);
});

test('reset removes every pod it can, and fails if one is left', async t => {
  const removed: string[] = [];
  const run = await commandsOf(t, {
    runtime: {
      listPodSandbox: () =>
        Promise.resolve({
          items: ['a', 'b', 'c'].map(name => ({id: name, metadata: {name, namespace: 'n'}})),
        }),
      stopPodSandbox: ({podSandboxId}) =>
        podSandboxId === 'b' ? missing('b') : Promise.resolve({}),
      removePodSandbox: ({podSandboxId}) => {
        removed.push(podSandboxId);
        return Promise.resolve({});
      },
    },
  });
  const {exitCode, stderr} = await run(['reset']);
  t.is(exitCode, 15);
  t.regex(stderr, /n\/b: .*\n1 of 3 pods are left/);
  t.deepEqual(removed.sort(), ['a', 'c']);
});

test('info says what is not ready and why', async t => {
  const run = await commandsOf(t, {
    runtime: {
      version: () => Promise.resolve({runtimeName: 'slipway', runtimeVersion: '1'}),
      status: () =>
        Promise.resolve({
          status: {
            conditions: [
              {type: 'RuntimeReady', status: true},
              {type: 'NetworkReady', status: false, reason: 'No', message: 'no conf'},
            ],
          },
          runtimeHandlers: [{name: ''}, {name: 'runc'}],
        }),
    },
    image: {imageFsInfo: () => Promise.resolve({imageFilesystems: [{usedBytes: {value: 5n}}]})},
  });
  const {stdout} = await run(['info']);
  t.deepEqual(stdout.split('\n'), [
    'slipway 1',
    'RuntimeReady: yes',
    'NetworkReady: no, No: no conf',
    'runtime handlers: runc',
    'images: , 5 bytes',
    '',
  ]);
});

test('logs prints both streams apart, joins cut lines, and knows --tail', async t => {
  const path = join(await folderOf(t), '0.log');
  const time = '2026-11-22T07:00:00.000000000Z';
  writeFileSync(
    path,
    `${time} stdout F one\n${time} stderr F two\n${time} stdout P thr\n${time} stdout F ee\nodd\n`,
  );
  const run = await commandsOf(
    t,
    onePod({containerStatus: () => Promise.resolve({status: {id, logPath: path}})}),
  );
  t.deepEqual(await run(['logs', 'ccc']), {
    exitCode: 0,
    stdout: 'one\nthree\nodd\n',
    stderr: 'two\n',
  });
  t.is((await run(['logs', 'ccc', '--tail', '2'])).stdout, 'ee\nodd\n');
  t.is((await run(['logs', 'ccc', '--tail', '0'])).stdout, '');
  t.is((await run(['logs', 'ccc', '--timestamps'])).stdout.split('\n')[0], `${time} one`);
});

test('logs -f goes on over a rotation and ends with the container', async t => {
  const path = join(await folderOf(t), '0.log');
  const line = (text: string) => `2026-11-22T07:00:00Z stdout F ${text}\n`;
  writeFileSync(path, line('one'));
  let asked = 0;
  const run = await commandsOf(
    t,
    onePod({
      containerStatus: () => {
        asked++;
        if (asked === 2) appendFileSync(path, line('two'));
        if (asked === 3) {
          appendFileSync(path, line('three'));
          renameSync(path, `${path}.1`);
          writeFileSync(path, line('four'));
        }
        const state =
          asked < 4 ? ContainerState.CONTAINER_RUNNING : ContainerState.CONTAINER_EXITED;
        return Promise.resolve({status: {id, state, logPath: path}});
      },
    }),
  );
  t.is((await run(['logs', '-f', 'ccc'])).stdout, 'one\ntwo\nthree\nfour\n');
});

test('logs of a container without a file are refused', async t => {
  const run = await commandsOf(t, onePod());
  const {exitCode, stderr} = await run(['logs', 'ccc']);
  t.is(exitCode, 15);
  t.regex(stderr, /^ERR_LOG_UNREADABLE/);
});

test('an interrupted command ends with 130', async t => {
  const interrupt = new AbortController();
  interrupt.abort(new Error('SIGINT'));
  const words = ['ps', '--socket', join(await folderOf(t), 'none')];
  t.is((await runCommand(words, '', interrupt.signal)).exitCode, 130);
});

test('config prints what the daemon would run with', async t => {
  const file = join(await folderOf(t), 'cri.toml');
  writeFileSync(file, 'root = "/a"\n[runtimes.crun]\npath = "/crun"\n');
  const {stdout} = await runCommand(['config', '--config', file, '--log-level', 'debug']);
  for (const expected of ['root = "/a"', 'logLevel = "debug"', '[runtimes.crun]', 'port = 0']) {
    t.true(stdout.includes(`\n${expected}\n`), expected);
  }
  t.is((await runCommand(['config', '--default'])).exitCode, 0);
});

test('the version proves that the native part works', async t => {
  const {exitCode, stdout} = await runCommand(['--version']);
  t.is(exitCode, 0);
  t.regex(stdout, /^slipway-cri \d+\.\d+\.\d+, CRI v1, Node 24\./);
});
