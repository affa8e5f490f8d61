// The room with Zoom's real web client: `node room/run.js [address] [--screenshots DIR]`, and `--install` for its files
// only. Without the npm package it prints the reason and passes.
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { launch } from '../lib/browser.js';
import { gallery } from '../lib/look.js';
import { run } from '../lib/runner.js';
import { stack } from '../lib/stack.js';
import { install, serveZoom } from '../lib/zoom-files.js';
import { scene } from './scene.js';
import { tests } from './tests.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { install: { type: 'boolean' }, screenshots: { type: 'string' } },
});
const { directory, reason } = install();
if (!directory) {
  console.log(`The room is not tested with Zoom’s client. ${reason}`);
  process.exit(0);
}
if (values.install) process.exit(0);
const root = fileURLToPath(new URL('../../../', import.meta.url));
const failures = pathToFileURL(`${resolve(root, process.env.CARGO_TARGET_DIR || 'target', 'console-failures')}/`);
mkdirSync(failures, { recursive: true });

// Any other key than the made-up one makes the room load Zoom's client.
const { base, stop } = await stack(positionals[0], ['--set', 'zoom_sdk_key=key-of-a-real-app']);
const zoom = await serveZoom(directory);
const browser = await launch(zoom.flags);
const looks = {};
if (values.screenshots) {
  mkdirSync(values.screenshots, { recursive: true });
  looks.screenshots = pathToFileURL(`${values.screenshots}/`);
}
tests({ browser, base, zoom, world: await scene(base), looks });
const well = await run(
  async (name) => {
    const pages = browser.contexts().flatMap((context) => context.pages());
    for (const [n, page] of pages.entries()) {
      console.log(`    shown: ${(await page.textContent('.room')).replace(/\s+/g, ' ').slice(0, 300)}`);
      const file = `room-${name.replace(/\W+/g, '-').slice(0, 60)}-${n}.png`;
      await page.screenshot({ path: new URL(file, failures).pathname });
    }
    // A failed test leaves its window open, which the next one must not find.
    for (const context of browser.contexts()) await context.close();
    Object.assign(zoom.network, { state: 'good', service: 'refusing' });
  },
  // The tests do not depend on each other.
  { giveUpAfter: Infinity },
);
if (looks.screenshots) gallery(looks, 'ROOM.md');
await browser.close();
zoom.stop();
stop();
process.exit(well ? 0 : 1);
