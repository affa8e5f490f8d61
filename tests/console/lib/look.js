// How a view looks: in light, in dark, at a phone's width, in forced colours, and for the room in Arabic.
import { writeFileSync } from 'node:fs';
import { defects } from './layout.js';
import { equal } from './runner.js';

/**
 * What axe finds on the page as it is, in one line each. In forced colours it cannot judge contrast, because Chromium
 * reports the page's own `-webkit-text-fill-color`, which axe reads.
 */
export async function violations(page, { forced = false } = {}) {
  const found = await page.evaluate(async (isForced) => {
    const { violations: all } = await globalThis.axe.run(document, {
      iframes: false,
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
      rules: { 'color-contrast': { enabled: !isForced } },
      resultTypes: ['violations'],
    });
    return all.map((each) => ({
      id: each.id,
      help: each.help,
      nodes: each.nodes.map(
        (node) => `${node.target.join(' ')} ${(node.any[0] || node.all[0] || node.none[0])?.message || ''}`,
      ),
    }));
  }, forced);
  return found.map((each) => `${each.id}: ${each.help}\n      ${each.nodes.slice(0, 4).join('\n      ')}`);
}

const WIDE = { width: 1360, height: 860 };
const PHONE = { width: 360, height: 780 };
/** The looks of every view. */
const LOOKS = [
  { look: 'light', viewport: WIDE },
  { look: 'dark', viewport: WIDE, colorScheme: 'dark' },
  { look: 'phone', viewport: PHONE },
  { look: 'forced', viewport: WIDE, forcedColors: 'active' },
];
/** The looks of the English room besides. It has several languages, and the console has one. */
const ROOM_LOOKS = [
  { look: 'arabic', viewport: WIDE, language: 'ar' },
  { look: 'arabic-phone', viewport: PHONE, language: 'ar' },
];
/** Languages that do not use the letters of English, so that a text that was not translated shows. */
const OTHER_LETTERS = ['ar', 'hi'];

/** Whether the page is wider than the window, so that a phone would have to be pushed about. */
const overflows = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** What was taken, as a page to look through. */
export function gallery(world, file = 'README.md') {
  const taken = [...LOOKS, ...ROOM_LOOKS].map(({ look }) => look).filter((look) => has(world, look));
  const picture = (name, look) => {
    if (!world.shot.get(name).has(look)) return '';
    return `[![${name}, ${look}](${name}-${look}.webp)](${name}-${look}.webp)`;
  };
  const row = (name) => `| ${name} | ${taken.map((look) => picture(name, look)).join(' | ')} |`;
  const head = [
    '# The console, view by view',
    '',
    'Made by `npm run screenshots` in `tests/console`.',
    '',
    `| | ${taken.join(' | ')} |`,
    `| --- |${' --- |'.repeat(taken.length)}`,
  ];
  writeFileSync(
    new URL(file, world.screenshots),
    `${[...head, ...[...world.shot.keys()].sort().map(row)].join('\n')}\n`,
  );
}

const has = (world, look) => [...world.shot.values()].some((looks) => looks.has(look));

/** As WebP, which is a third of the same as PNG. */
async function shoot(page, file) {
  // What is behind other windows may not have been laid out anew.
  await page.bringToFront();
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: 60 });
  writeFileSync(file, Buffer.from(data, 'base64'));
  await session.detach();
}

/** Takes a screenshot, where the world keeps them. */
async function keep(world, page, name, look) {
  if (!world.screenshots) return;
  world.shot ??= new Map();
  if (!world.shot.has(name)) world.shot.set(name, new Set());
  world.shot.get(name).add(look);
  await page.locator('.toast.done').first().waitFor({ state: 'detached' });
  await shoot(page, new URL(`${name}-${look}.webp`, world.screenshots).pathname);
}

const spoken = (page) => page.evaluate(() => document.documentElement.lang);

/**
 * Looks at one view in every look: axe finds nothing, nothing is wider than the window, no text is cut off, no control
 * is covered, a chosen item shows in forced colours, and every text is in the page's language. Where the world keeps
 * screenshots, one is taken of each.
 */
export async function inspect(world, page, name) {
  const found = [];
  const language = page.locator('.language select');
  const before = (await language.count()) ? await spoken(page) : null;
  for (const { look, viewport, colorScheme = 'light', forcedColors = 'none', language: other } of [
    ...LOOKS,
    ...(before === 'en' ? ROOM_LOOKS : []),
  ]) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme, forcedColors, reducedMotion: 'reduce' });
    if (before) await language.selectOption(other ?? before);
    await page.waitForTimeout(150);
    const forced = forcedColors === 'active';
    for (const violation of await violations(page, { forced })) found.push(`${look}: ${violation}`);
    const wider = await overflows(page);
    if (wider > 0) found.push(`${look}: ${wider} px wider than the window`);
    const lang = await spoken(page);
    const options = { forced, language: OTHER_LETTERS.includes(lang) ? lang : null };
    for (const defect of await defects(page, options)) found.push(`${look}: ${defect}`);
    await keep(world, page, name, look);
  }
  if (before) await language.selectOption(before);
  await page.setViewportSize(WIDE);
  await page.emulateMedia({ colorScheme: 'light', forcedColors: 'none', reducedMotion: 'reduce' });
  equal(found.join('\n    '), '', 'what is wrong');
}
