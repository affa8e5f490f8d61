// One test after the other: they walk through one class, and each goes on where the one before left it.

const all = [];
/** `ONLY=polls node run.js` runs the tests whose names contain the text. */
const { ONLY } = process.env;

export function test(name, body) {
  if (!ONLY || name.includes(ONLY)) all.push([name, body]);
}

export function equal(got, wanted, what = 'value') {
  if (got !== wanted) throw new Error(`${what}: ${JSON.stringify(got)} instead of ${JSON.stringify(wanted)}`);
}

export function holds(condition, what) {
  if (!condition) throw new Error(what);
}

/** Looks again until it holds: what others did arrives when it arrives. */
export async function eventually(look, what, within = 20_000) {
  const until = Date.now() + within;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > until) throw new Error(what);
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}

/** So many in a row, and what they go on with is not there: the rest would only wait. */
const GIVE_UP_AFTER = 3;

/** Runs them all; `after` is called for each that failed, to keep what was to be seen. */
export async function run(after, { giveUpAfter = GIVE_UP_AFTER } = {}) {
  const failed = [];
  let in_a_row = 0;
  for (const [name, body] of all) {
    if (in_a_row === giveUpAfter) {
      failed.push(name);
      continue;
    }
    const begun = Date.now();
    try {
      await body();
      in_a_row = 0;
      console.log(`ok      ${name} (${Date.now() - begun} ms)`);
    } catch (error) {
      failed.push(name);
      in_a_row += 1;
      console.log(
        `FAILED  ${name}\n    ${String(error.stack || error)
          .split('\n')
          .slice(0, 14)
          .join('\n    ')}`,
      );
      await after(name).catch(() => {});
    }
  }
  console.log(`\n${all.length - failed.length} passed, ${failed.length} failed`);
  return failed.length === 0;
}
