import test, {type Implementation} from 'ava';

/** Declares a test for machines that have what it needs; on others its title says what is missing. */
export function testWhere(
  has: boolean,
  need: string,
): (title: string, implementation: Implementation<[]>) => void {
  return (title, implementation) => {
    if (has) test(title, implementation);
    else test.skip(`${title} (not run: it needs ${need})`, implementation);
  };
}
