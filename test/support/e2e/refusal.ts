import type {ExecutionContext} from 'ava';
import {formatYamlDocuments} from '#shared/yaml';
import {type Finished, provision} from './command-line.ts';
import {setKey, writeVariant} from './the-lab.ts';

/** Values to put into a document, by path. */
export type Keys = Readonly<Record<string, unknown>>;

export interface Variant {
  readonly cluster?: Keys;
  readonly hosts?: Keys;
  /** The whole text of cluster.yaml instead. */
  readonly text?: string;
}

const CLUSTER_NAME = 'e2e-refused.yaml';
const HOSTS_NAME = 'e2e-refused-hosts.yaml';

/** Runs a whole `provision` on changed copies of the lab's files; it has to be refused. */
export async function provisionVariant({cluster = {}, hosts, text}: Variant): Promise<Finished> {
  if (hosts !== undefined) {
    await writeVariant('hosts.yaml', HOSTS_NAME, document => {
      setKeys(document, hosts);
    });
  }
  const file = await writeVariant('cluster.yaml', CLUSTER_NAME, document => {
    setKeys(document, cluster);
    if (hosts !== undefined) setKey(document, 'spec.inventory', HOSTS_NAME);
    return text;
  });
  return await provision([file, '--yes', '--output', 'json']);
}

/** Exit code and codes as expected, every error with a next step, and nothing begun. */
export function assertRefused(
  t: ExecutionContext,
  finished: Finished,
  {exitCode, codes}: {readonly exitCode: number; readonly codes: readonly string[]},
): void {
  t.is(finished.exitCode, exitCode, finished.stderr);
  t.deepEqual([...finished.codes].sort(), [...codes].sort(), finished.stderr);
  t.is(finished.stderr.match(/^ {2}next: \S/gm)?.length, codes.length);
  const begun = finished.events.flatMap(event =>
    event.type === 'task-started' && !['connect', 'facts'].includes(event.phase)
      ? [event.phase]
      : [],
  );
  t.deepEqual(begun, []);
}

/** A document of YAML whose aliases would expand to millions of nodes. */
export function aliasBomb(): string {
  const levels = Array.from({length: 9}, (_, level) => {
    const of = level === 0 ? '"x"' : `*l${level - 1}`;
    return `l${level}: &l${level} [${Array.from({length: 9}, () => of).join(', ')}]`;
  });
  return `${formatYamlDocuments([]).trim()}${levels.join('\n')}\n`;
}

function setKeys(document: Record<string, unknown>, keys: Keys): void {
  for (const [path, value] of Object.entries(keys)) setKey(document, path, value);
}
