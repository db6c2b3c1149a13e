import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

/** The chain of a plain node: bridge, host-local, portmap; each peer has its own namespace. */
export async function writeNetwork(folder: string): Promise<void> {
  const directory = join(folder, 'net.d');
  await mkdir(directory, {recursive: true});
  const network = {
    cniVersion: '1.0.0',
    name: 'bench',
    plugins: [
      {
        type: 'bridge',
        bridge: 'bench0',
        isGateway: true,
        ipMasq: false,
        ipam: {
          type: 'host-local',
          dataDir: join(folder, 'ipam'),
          ranges: [[{subnet: '10.123.0.0/16'}]],
          routes: [{dst: '0.0.0.0/0'}],
        },
      },
      {type: 'portmap', capabilities: {portMappings: true}},
    ],
  };
  await writeFile(join(directory, '10-bench.conflist'), JSON.stringify(network));
}
