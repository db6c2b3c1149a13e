/** Keys with the instant (ms) at which each is due; one instant per key. */
export interface Timetable {
  readonly size: number;
  /** Replaces the key's instant. */
  set(key: string, atMs: number): void;
  get(key: string): number | undefined;
  delete(key: string): void;
  /** The earliest instant of all. */
  earliest(): number | undefined;
  /** Takes out what is due, in the order of its instants. */
  takeDue(nowMs: number): readonly string[];
}

/** Replaced entries stay in the heap until they come up; more than so many times the keys, and it is rebuilt. */
const STALE_FACTOR = 2;
const STALE_LEAST = 64;

/** A binary heap beside a map: 10,000 keys cost no timers, and each change a few comparisons. */
export function createTimetable(): Timetable {
  const instants = new Map<string, number>();
  let heap: Entry[] = [];

  const isStale = ({key, atMs}: Entry): boolean => instants.get(key) !== atMs;
  const dropStale = (): void => {
    for (let top = heap[0]; top !== undefined && isStale(top); top = heap[0]) pop(heap);
  };
  return {
    get size() {
      return instants.size;
    },
    get: key => instants.get(key),
    set(key, atMs) {
      if (instants.get(key) === atMs) return;
      instants.set(key, atMs);
      push(heap, {key, atMs});
      if (heap.length > STALE_LEAST + STALE_FACTOR * instants.size) {
        heap = [...instants].map(([each, at]) => ({key: each, atMs: at}));
        heap.sort((a, b) => a.atMs - b.atMs); // a sorted list is a heap
      }
    },
    delete(key) {
      instants.delete(key);
    },
    earliest() {
      dropStale();
      return heap[0]?.atMs;
    },
    takeDue(nowMs) {
      const due: string[] = [];
      dropStale();
      for (let top = heap[0]; top !== undefined && top.atMs <= nowMs; top = heap[0]) {
        pop(heap);
        instants.delete(top.key);
        due.push(top.key);
        dropStale();
      }
      return due;
    },
  };
}

interface Entry {
  readonly key: string;
  readonly atMs: number;
}

function push(heap: Entry[], entry: Entry): void {
  let at = heap.length;
  heap.push(entry);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent];
    if (above === undefined || above.atMs <= entry.atMs) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = entry;
}

function pop(heap: Entry[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    const left = 2 * at + 1;
    const child = earlier(heap, left, left + 1);
    const below = heap[child];
    if (below === undefined || below.atMs >= last.atMs) break;
    heap[at] = below;
    at = child;
  }
  heap[at] = last;
}

function earlier(heap: readonly Entry[], left: number, right: number): number {
  const [a, b] = [heap[left], heap[right]];
  return a !== undefined && b !== undefined && b.atMs < a.atMs ? right : left;
}
