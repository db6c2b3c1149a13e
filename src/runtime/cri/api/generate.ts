import {execFile} from 'node:child_process';
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import criApi from './cri-v1.json' with {type: 'json'};
import imagesApi from './images-v1.json' with {type: 'json'};
import {formatProtoFile, type ApiDescription} from './proto-file.ts';

/** Where the generated code is committed. */
export const generatedFolder = fileURLToPath(new URL('../gen', import.meta.url));

const apis: Readonly<Record<string, ApiDescription>> = {'cri-v1': criApi, 'images-v1': imagesApi};

/**
 * Writes the TypeScript of both APIs (`cri-v1_pb.ts`, `images-v1_pb.ts`) into a folder.
 *
 * Works offline: buf and the plugin are npm packages of the project.
 */
export async function generateApis(outDirectory: string): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'slipway-proto-'));
  try {
    await mkdir(outDirectory, {recursive: true});
    for (const [name, api] of Object.entries(apis)) {
      await writeFile(join(scratch, `${name}.proto`), formatProtoFile(api));
    }
    const template = {
      version: 'v2',
      plugins: [
        {
          local: [process.execPath, packageFile('protoc-gen-es/bin/protoc-gen-es')],
          out: outDirectory,
          opt: ['target=ts', 'import_extension=ts', 'erasable_syntax=true'],
        },
      ],
    };
    const buf = packageFile(`buf-linux-${process.arch === 'arm64' ? 'aarch64' : 'x64'}/bin/buf`);
    await promisify(execFile)(buf, ['generate', scratch, '--template', JSON.stringify(template)], {
      cwd: scratch,
      env: {...process.env, BUF_CACHE_DIR: join(scratch, 'cache')},
    });
  } finally {
    await rm(scratch, {recursive: true, force: true});
  }
}

function packageFile(path: string): string {
  return fileURLToPath(new URL(`../../../../node_modules/@bufbuild/${path}`, import.meta.url));
}

if (import.meta.main) await generateApis(generatedFolder);
