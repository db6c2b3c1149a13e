/** Whether an image's name is one that garbage collection must leave alone. */
export type IsPinned = (name: string) => boolean;

/**
 * Reads the configuration's patterns: a full name, the start of one (`registry.k8s.io/pause*`), or
 * a part (`*pause*`). A star anywhere else stands for itself, as it cannot be in a name.
 */
export function pinnedBy(patterns: readonly string[]): IsPinned {
  const tests = patterns.map(testOf);
  return name => tests.some(test => test(name));
}

function testOf(pattern: string): IsPinned {
  const isOpenAtEnd = pattern.endsWith('*');
  const isOpenAtStart = isOpenAtEnd && pattern.startsWith('*');
  const word = pattern.slice(isOpenAtStart ? 1 : 0, isOpenAtEnd ? -1 : undefined);
  if (word === '') return () => false; // `*` would keep everything, and the disk would fill up
  if (isOpenAtStart) return name => name.includes(word);
  return isOpenAtEnd ? name => name.startsWith(word) : name => name === word;
}
