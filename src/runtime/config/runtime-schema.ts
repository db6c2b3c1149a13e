import * as z from 'zod';
import {LOG_LEVELS} from '#shared/log';

/** A schema's message begins with "expected", so that "found …" can follow. */
const absolutePath = matching(/^\/(?:[^\0]*[^/\0])?$/, 'an absolute path');
const optionalPath = matching(/^(?:\/[^\0]*[^/\0])?$/, 'an absolute path, or ""');
const handlerName = matching(
  /^[a-z0-9](?:[-a-z0-9.]{0,61}[a-z0-9])?$/,
  'a name of a-z, 0-9, "-" and "."',
);
const imageName = matching(/^\S{1,511}$/, 'an image name, perhaps with "*" at its ends');
const capability = matching(
  /^(?:CAP_)?[A-Z][A-Z_]{2,31}$/,
  'a capability such as NET_BIND_SERVICE',
);
const sysctlName = matching(/^[a-z][\w-]*(?:[./][\w-]+)+$/, 'a sysctl such as net.core.somaxconn');

/** Where the provisioner puts it. */
export const RUNC_PATH_DEFAULT = '/usr/local/bin/runc';

/** conmon's own least (conmon(8), `--log-size-max`). */
const LOG_SIZE_BYTES_MIN = 8192;

/**
 * The keys of the daemon's configuration file: type, default, meaning and limits. `config --default`,
 * docs/runtime-configuration.md and the messages about mistakes all come from here.
 *
 * Every key has a default, so that each file can be checked alone.
 */
export const runtimeSchema = z.strictObject({
  root: absolutePath
    .default('/var/lib/slipway/cri')
    .describe('Images, layers and metadata of pods and containers; survives a reboot.'),
  state: absolutePath
    .default('/run/slipway/cri')
    .describe(
      'Sockets, bundles and namespaces; has to be on a tmpfs, and is rebuilt after a reboot.',
    ),
  listen: matching(/^unix:\/\/\/[^\0]*[^/\0]$/, 'an address like unix:///run/slipway/cri.sock')
    .default('unix:///run/slipway/cri.sock')
    .describe('The socket that kubelet and other CRI clients connect to; root and its group may.'),
  logLevel: z
    .enum(LOG_LEVELS)
    .default('info')
    .describe('The least that is logged; `debug` has a line for each call.'),
  cgroupManager: z
    .enum(['systemd', 'cgroupfs'])
    .default('systemd')
    .describe('Who makes cgroups. The kubelet asks, and uses the same.'),
  defaultRuntime: handlerName
    .default('runc')
    .describe('The handler of pods without a RuntimeClass.'),
  runtimes: z
    .record(
      handlerName,
      z.strictObject({
        path: optionalPath
          .default('')
          .describe('The OCI runtime\'s program; `""`: the handler\'s name, looked up on PATH.'),
        root: optionalPath
          .default('')
          .describe('The OCI runtime\'s own state; `""`: a folder under `state`.'),
      }),
    )
    .default({runc: {path: RUNC_PATH_DEFAULT, root: ''}})
    .describe(
      'OCI runtimes by handler, the name that a RuntimeClass gives. `runc` is always there.',
    ),
  conmon: absolutePath
    .default('/opt/slipway/bin/conmon')
    .describe('The monitor that each container has; at its default also looked up on PATH.'),
  tini: absolutePath
    .default('/opt/slipway/bin/catatonit')
    .describe(
      'The init of pods that share a PID namespace; at its default also looked up on PATH.',
    ),
  execProgram: absolutePath
    .default('/opt/slipway/bin/slipway-exec')
    .describe(
      'Starts containers of runc and runs commands (probes) in them; without it runc does, in more time. At its default also looked up on PATH.',
    ),
  pidsLimit: z
    .int({error: 'expected a whole number'})
    .min(0, {error: 'expected at least 0'})
    .default(0)
    .describe("Processes and threads that a container may have; 0: no limit but the kubelet's."),
  logSizeMax: z
    .int({error: 'expected a whole number of bytes'})
    .refine(bytes => bytes === 0 || bytes >= LOG_SIZE_BYTES_MIN, {
      error: `expected 0, or at least ${LOG_SIZE_BYTES_MIN}`,
    })
    .default(0)
    .describe('Bytes after which conmon begins a log anew; 0: never, the kubelet rotates logs.'),
  defaultEnv: z
    .array(matching(/^[^=\0]+=[^\0]*$/, 'a text like NAME=value'))
    .default([])
    .describe('Environment of every container, below that of image and pod.'),
  defaultCapabilities: z
    .array(capability)
    .default([
      'AUDIT_WRITE',
      'CHOWN',
      'DAC_OVERRIDE',
      'FOWNER',
      'FSETID',
      'KILL',
      'MKNOD',
      'NET_BIND_SERVICE',
      'NET_RAW',
      'SETFCAP',
      'SETGID',
      'SETPCAP',
      'SETUID',
      'SYS_CHROOT',
    ]) // prettier-ignore
    .describe('Capabilities of a container that asks for none.'),
  defaultSysctls: z
    .record(sysctlName, z.string({error: 'expected a text'}))
    .default({'net.ipv4.ip_unprivileged_port_start': '0'})
    .describe('Kernel settings of every pod with a network of its own; the pod may set others.'),
  defaultUlimits: z
    .array(
      z.strictObject({
        name: matching(/^[a-z]{2,16}$/, 'a limit in lower case such as nofile').describe(
          'As in setrlimit(2), without RLIMIT_, in lower case.',
        ),
        soft: limit().describe('What the process begins with; -1: no limit.'),
        hard: limit().describe('What it may raise it to; -1: no limit.'),
      }),
    )
    .default([])
    .describe("Limits of every container. None: the daemon's own, which are the unit's."),
  pinnedImages: z
    .array(imageName)
    .default([])
    .describe('Images that the kubelet may not collect: a name, `prefix*`, or `*word*`.'),
  registriesFile: absolutePath
    .default('/etc/containers/registries.conf')
    .describe(
      'Mirrors, insecure and blocked registries (containers-registries.conf(5), version 2).',
    ),
  authFile: absolutePath
    .default('/etc/containers/auth.json')
    .describe('Credentials by registry, for pulls without their own (containers-auth.json(5)).'),
  certsDirectory: absolutePath
    .default('/etc/containers/certs.d')
    .describe('CA and client certificates by registry (containers-certs.d(5)).'),
  imagePull: z
    .strictObject({
      concurrentLayers: z
        .int({error: 'expected a whole number'})
        .min(1, {error: 'expected at least 1'})
        .max(16, {error: 'expected at most 16'})
        .default(3)
        .describe('Layers that are fetched and unpacked at once, of all images together.'),
      progressTimeoutSeconds: z
        .int({error: 'expected a whole number of seconds'})
        .min(1, {error: 'expected at least 1'})
        .max(3600, {error: 'expected at most 3600'})
        .default(60)
        .describe('Time without a byte after which a transfer is given up and taken up again.'),
    })
    .prefault({})
    .describe('How images are fetched.'),
  cni: z
    .strictObject({
      confDirectory: absolutePath
        .default('/etc/cni/net.d')
        .describe('The first `.conflist` or `.conf` here, by name, is the network of pods.'),
      binDirectories: z
        .array(absolutePath)
        .min(1, {error: 'expected at least one folder'})
        .default(['/opt/cni/bin'])
        .describe('Where plugins are looked for, in this order.'),
      cacheDirectory: optionalPath
        .default('')
        .describe('What ADD answered, for DEL; `""`: a folder under `root`.'),
    })
    .prefault({})
    .describe('The network of pods (CNI 1.1).'),
  streaming: z
    .strictObject({
      address: z
        .enum(['127.0.0.1', '::1'])
        .default('127.0.0.1')
        .describe(
          'Where exec, attach and port-forward are served to the kubelet, which proxies them.',
        ),
      port: z
        .int({error: 'expected a port'})
        .min(0, {error: 'expected a port from 0 to 65535'})
        .max(65535, {error: 'expected a port from 0 to 65535'})
        .default(0)
        .describe('Its port; 0: any that is free.'),
    })
    .prefault({})
    .describe('Streaming to the kubelet.'),
  metrics: z
    .strictObject({
      address: matching(
        /^(?:|(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:]+\]):[1-9]\d{0,4})$/,
        'an address like 127.0.0.1:9090, or ""',
      )
        .default('')
        .describe('Where Prometheus finds `/metrics`, without TLS or login; `""`: nowhere.'),
    })
    .prefault({})
    .describe('Figures for Prometheus.'),
});

function limit(): z.ZodInt {
  return z.int({error: 'expected a whole number'}).min(-1, {error: 'expected at least -1'});
}

function matching(pattern: RegExp, what: string): z.ZodString {
  return z.string({error: `expected ${what}`}).regex(pattern, {error: `expected ${what}`});
}
