// How a view looks: in light, in dark, and at a phone's width.
import { writeFileSync } from 'node:fs';
import { equal } from './runner.js';

/** What axe finds on the page as it is, in one line each. */
export async function violations(page) {
  const found = await page.evaluate(async () => {
    const { violations: all } = await globalThis.axe.run(document, {
      iframes: false,
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
      resultTypes: ['violations'],
    });
    return all.map((each) => ({
      id: each.id,
      help: each.help,
      nodes: each.nodes.map(
        (node) => `${node.target.join(' ')} ${(node.any[0] || node.all[0] || node.none[0])?.message || ''}`,
      ),
    }));
  });
  return found.map((each) => `${each.id}: ${each.help}\n      ${each.nodes.slice(0, 4).join('\n      ')}`);
}

const LOOKS = [
  ['light', { width: 1360, height: 860 }, 'light'],
  ['dark', { width: 1360, height: 860 }, 'dark'],
  ['phone', { width: 360, height: 780 }, 'light'],
];

/** Only with screenshots, because it takes its time. */
const FORCED = ['forced', { width: 1360, height: 860 }, 'light', 'active'];

/** Whether the page is wider than the window, so that a phone would have to be pushed about. */
const overflows = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** What was taken, as a page to look through. */
export function gallery(world, file = 'README.md') {
  const picture = (name, look) => `[![${name}, ${look}](${name}-${look}.webp)](${name}-${look}.webp)`;
  const row = (name) => `| ${name} | ${[...LOOKS, FORCED].map(([look]) => picture(name, look)).join(' | ')} |`;
  const head = [
    '# The console, view by view',
    '',
    'Made by `npm run screenshots` in `tests/console`.',
    '',
    `| | ${[...LOOKS, FORCED].map(([look]) => look).join(' | ')} |`,
    `| --- |${' --- |'.repeat(LOOKS.length + 1)}`,
  ];
  writeFileSync(new URL(file, world.screenshots), `${[...head, ...world.shot.sort().map(row)].join('\n')}\n`);
}

/** As WebP, which is a third of the same as PNG. */
async function shoot(page, file) {
  // What is behind other windows may not have been laid out anew.
  await page.bringToFront();
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: 80 });
  writeFileSync(file, Buffer.from(data, 'base64'));
  await session.detach();
}

/**
 * Looks at one view in every look: axe finds nothing and nothing is wider than the window. Where the world keeps
 * screenshots, one is taken of each.
 */
export async function inspect(world, page, name) {
  const found = [];
  if (world.screenshots) world.shot = [...new Set([...(world.shot || []), name])];
  const looks = world.screenshots ? [...LOOKS, FORCED] : LOOKS;
  for (const [look, viewport, colorScheme, forcedColors = 'none'] of looks) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme, forcedColors, reducedMotion: 'reduce' });
    await page.waitForTimeout(150);
    for (const violation of await violations(page)) found.push(`${look}: ${violation}`);
    const wider = await overflows(page);
    if (wider > 0) found.push(`${look}: ${wider} px wider than the window`);
    if (world.screenshots) {
      await page.locator('.toast.done').first().waitFor({ state: 'detached' });
      await shoot(page, new URL(`${name}-${look}.webp`, world.screenshots).pathname);
    }
  }
  const [, viewport, colorScheme] = LOOKS[0];
  await page.setViewportSize(viewport);
  await page.emulateMedia({ colorScheme, forcedColors: 'none', reducedMotion: 'reduce' });
  equal(found.join('\n    '), '', 'what is wrong');
}
