// The console in a real browser: `node run.js [address of a stack that was just started] [--screenshots DIR]`.
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { launch } from './lib/browser.js';
import { gallery } from './lib/look.js';
import { stack } from './lib/stack.js';
import { run } from './lib/runner.js';
import { links } from './links.js';
import { walk } from './walk.js';
import { views } from './views.js';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { screenshots: { type: 'string' } } });
const { base, stop } = await stack(positionals[0]);
const browser = await launch();
const world = await walk(browser, base);
if (values.screenshots) {
  mkdirSync(values.screenshots, { recursive: true });
  world.screenshots = pathToFileURL(`${values.screenshots}/`);
}
world.during();
views(world);
links(browser);

const root = fileURLToPath(new URL('../../', import.meta.url));
const failures = pathToFileURL(`${resolve(root, process.env.CARGO_TARGET_DIR || 'target', 'console-failures')}/`);
mkdirSync(failures, { recursive: true });
const well = await run(async (name) => {
  // What was to be seen when it failed, of every window.
  for (const [n, page] of world.context.pages().entries()) {
    await page.screenshot({ path: new URL(`${name.replace(/\W+/g, '-').slice(0, 60)}-${n}.png`, failures).pathname });
  }
});
if (world.screenshots) gallery(world);
// Calls that template.yaml does not grant. Many functions continue without an optional call, so no page shows them.
const { items: denied } = await (await fetch(`${base}/local/denied-calls`)).json();
for (const call of denied) console.log(`denied  ${call.function}: ${call.action} on ${call.resource}`);
await browser.close();
stop();
process.exit(well && denied.length === 0 ? 0 : 1);
