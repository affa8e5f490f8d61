// Chromium, without a window, and what must not happen on any page.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const require = createRequire(import.meta.url);
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const PLACES = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
/** Slow machines are slow, not wrong. */
const PATIENCE_MS = 15_000;

/** Starts Chromium, with `flags` besides those of every test. */
export async function launch(flags = []) {
  const executablePath = PLACES.find((place) => place && existsSync(place));
  if (!executablePath) throw new Error('There is no Chromium; `apt-get install chromium`, or name one in CHROMIUM.');
  return chromium.launch({ executablePath, args: [...FLAGS, ...flags] });
}

/** A person's browser. `wrong` collects what a page complains of: errors, and what its own policy refused. */
export async function open(browser, base, options = {}) {
  const context = await browser.newContext({
    baseURL: base,
    viewport: { width: 1360, height: 860 },
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    reducedMotion: 'reduce',
    permissions: ['clipboard-read', 'clipboard-write'],
    acceptDownloads: true,
    ...options,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  await context.addInitScript({ content: readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8') });
  const wrong = [];
  context.on('page', (page) => {
    page.on('pageerror', (error) => wrong.push(`${page.url()}: ${error.message}`));
    page.on('console', (message) => {
      // A refusal of the API is shown to the person; the browser's own line about it says nothing more.
      if (message.type() === 'error' && !/Failed to load resource/.test(message.text()))
        wrong.push(`${page.url()}: ${message.text()}`);
    });
  });
  return { context, wrong };
}
