import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {writeProgram} from './program-file.ts';
import {temporaryFolder} from './temporary-folder.ts';

/** One call of a fake plugin, as it saw it. */
export interface PluginCallSeen {
  readonly plugin: string;
  readonly command: string;
  readonly containerId: string;
  readonly networkNamespace: string;
  readonly interfaceName: string;
  readonly arguments: string;
  readonly notifySocket: string;
  readonly input: Readonly<Record<string, unknown>>;
}

/** Folders of a network made of shell scripts that write down how they are called. */
export interface FakeNetwork extends AsyncDisposable {
  readonly confDirectory: string;
  readonly binDirectories: readonly string[];
  readonly cacheDirectory: string;
  readonly calls: () => Promise<readonly PluginCallSeen[]>;
  /** Writes a file into the configuration directory. */
  readonly configure: (file: string, content: object | string) => Promise<void>;
  /** Makes the plugin run a piece of shell when it is called so, after it was written down. */
  readonly script: (plugin: string, command: string, shell: string) => Promise<void>;
  /** Installs a further plugin. */
  readonly install: (plugin: string) => void;
}

export const FAKE_RESULT = {
  cniVersion: '1.0.0',
  interfaces: [{name: 'veth1'}, {name: 'eth0', sandbox: '/run/netns/x'}],
  ips: [
    {address: '10.1.0.9/24', interface: 1},
    {address: 'fd00::9/64', interface: 1},
    {address: '10.1.0.1/24', interface: 0},
  ],
};

/** Installs plugins of these names; each answers ADD with `FAKE_RESULT`. */
export async function fakeNetwork(...plugins: readonly string[]): Promise<FakeNetwork> {
  const folder = await temporaryFolder();
  const [conf, bin, cache] = ['net.d', 'bin', 'cache'].map(name => join(folder.path, name));
  const callsPath = join(folder.path, 'calls');
  if (conf === undefined || bin === undefined || cache === undefined) throw new TypeError();
  const install = (plugin: string): void => {
    writeProgram(join(bin, plugin), scriptOf(callsPath));
  };
  await mkdir(bin);
  await mkdir(conf);
  await writeFile(callsPath, '');
  plugins.forEach(install);
  return {
    confDirectory: conf,
    binDirectories: [join(folder.path, 'no-such-bin'), bin],
    cacheDirectory: cache,
    install,
    async calls() {
      const lines = (await readFile(callsPath, 'utf8')).trim().split('\n');
      return lines.filter(line => line !== '').map(line => JSON.parse(line) as PluginCallSeen);
    },
    async configure(file, content) {
      const text = typeof content === 'string' ? content : JSON.stringify(content);
      await writeFile(join(conf, file), text);
    },
    async script(plugin, command, shell) {
      await writeFile(join(bin, `${plugin}.${command}`), shell);
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

const scriptOf = (callsPath: string): string => `#!/bin/sh
input=$(cat)
printf '{"plugin":"%s","command":"%s","containerId":"%s","networkNamespace":"%s",' \\
  "\${0##*/}" "$CNI_COMMAND" "$CNI_CONTAINERID" "$CNI_NETNS" > "$0.line.$$"
printf '"interfaceName":"%s","arguments":"%s","notifySocket":"%s","input":%s}\\n' \\
  "$CNI_IFNAME" "$CNI_ARGS" "$NOTIFY_SOCKET" "$input" >> "$0.line.$$"
cat "$0.line.$$" >> ${callsPath}
if [ -f "$0.$CNI_COMMAND" ]; then . "$0.$CNI_COMMAND"; fi
if [ "$CNI_COMMAND" = ADD ]; then echo '${JSON.stringify(FAKE_RESULT)}'; fi
`;
