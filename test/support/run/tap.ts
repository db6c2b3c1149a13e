export interface TapTest {
  readonly ok: boolean;
  readonly skipped: boolean;
  readonly title: string;
}

export interface TapHandlers {
  readonly onTest: (test: TapTest) => void;
  /** What a test logged, and why one failed. */
  readonly onDetail: (line: string) => void;
}

const TEST_LINE = /^(not )?ok \d+ - (.*?)( # (?:SKIP|TODO).*)?$/;
const NOISE = /^(TAP version \d+|\s*---|\s*\.\.\.|1\.\.\d+.*|# \S.*|)$/;

/** Reads the lines of a TAP stream (testanything.org, version 13) and counts. */
export class TapReader {
  readonly #handlers: TapHandlers;
  #passed = 0;
  #failed = 0;
  #skipped = 0;

  constructor(handlers: TapHandlers) {
    this.#handlers = handlers;
  }

  get passed(): number {
    return this.#passed;
  }

  get failed(): number {
    return this.#failed;
  }

  get skipped(): number {
    return this.#skipped;
  }

  push(line: string): void {
    const [, not, title = '', directive] = TEST_LINE.exec(line) ?? [line];
    if (!TEST_LINE.test(line)) {
      if (!NOISE.test(line)) this.#handlers.onDetail(line.replace(/^# {3}/, '').trimEnd());
      return;
    }
    const test = {ok: not === undefined, skipped: directive !== undefined, title};
    if (test.skipped) this.#skipped += 1;
    else if (test.ok) this.#passed += 1;
    else this.#failed += 1;
    this.#handlers.onTest(test);
  }
}
