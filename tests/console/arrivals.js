// After every navigation, the heading of the page has the focus and the title names the page.
import { as } from './lib/people.js';
import { test, equal, eventually } from './lib/runner.js';
import { TITLES } from './walk.js';

/**
 * The pages by address: the heading with the focus, and the title. `ID` is a class that has ended, and `NONE` no class.
 * The last address of each person is a page, which later tests go on with.
 */
const pages = () => [
  ['#/tara/classes/NONE', 'Class not found', 'Class not found · Tara'],
  ['#/sam/classes/NONE', 'Class not found', 'Class not found · Sam'],
  ['#/sam/nonsense', 'Page not found', 'Page not found · Sam'],
  ['#/gil/nonsense', 'Page not found', 'Page not found · Gil'],
  ['#/platform/nonsense', 'Page not found', 'Page not found · Platform'],
  ['#/scenes/nonsense', 'Page not found', 'Page not found'],
  ['#/tara/classes', 'Classes', 'Classes · Tara'],
  ['#/tara/new', 'Schedule a class', 'Schedule a class · Tara'],
  ['#/tara/notices', 'Notifications', 'Notifications · Tara'],
  ['#/tara/preferences', 'Preferences', 'Preferences · Tara'],
  ['#/tara/classes/ID/overview', `${TITLES.course}: Overview`, `Overview · ${TITLES.course} · Tara`],
  ['#/tara/classes/ID/report', `${TITLES.course}: After class`, `After class · ${TITLES.course} · Tara`],
  ['#/tara/classes/ID/timeline', `${TITLES.course}: Timeline`, `Timeline · ${TITLES.course} · Tara`],
  ['#/tara/classes/ID/edit', 'Edit class', 'Edit class · Tara'],
  ['#/sam/classes', 'Your live classes', 'Your live classes · Sam'],
  ['#/sam/classes/ID', `${TITLES.course}: Overview`, `Overview · ${TITLES.course} · Sam`],
  ['#/sam/classes/ID/recordings', `${TITLES.course}: After class`, `After class · ${TITLES.course} · Sam`],
  ['#/sam/notices', 'Notifications', 'Notifications · Sam'],
  ['#/sam/preferences', 'Preferences', 'Preferences · Sam'],
  ['#/gil/mail', 'Mailbox', 'Mailbox · Gil'],
  ['#/platform/bookings', 'Bookings', 'Bookings · Platform'],
  ['#/platform/payments', 'Payments', 'Payments · Platform'],
  ['#/platform/imports', 'Import', 'Import · Platform'],
  ['#/platform/runs', 'Runs', 'Runs · Platform'],
  ['#/platform/logs', 'Logs', 'Logs · Platform'],
  ['#/scenes/mail', 'Behind the scenes: Mail', 'Mail · Behind the scenes'],
  ['#/scenes/clock', 'Behind the scenes: Clock and sweeps', 'Clock and sweeps · Behind the scenes'],
  ['#/scenes/meetings', 'Behind the scenes: In the meeting', 'In the meeting · Behind the scenes'],
  ['#/scenes/events', 'Behind the scenes: Events', 'Events · Behind the scenes'],
  ['#/scenes/scenarios/live', 'Behind the scenes: Scenarios', 'Scenarios · Behind the scenes'],
  ['#/scenes/data', 'Behind the scenes: Tables and queues', 'Tables and queues · Behind the scenes'],
  ['#/scenes/faults', 'Behind the scenes: Faults', 'Faults · Behind the scenes'],
  ['#/scenes/dead', 'Behind the scenes: Dead letters', 'Dead letters · Behind the scenes'],
  ['#/scenes/usage', 'Behind the scenes: Usage', 'Usage · Behind the scenes'],
  ['#/scenes/directory', 'Behind the scenes: School', 'School · Behind the scenes'],
  ['#/scenes/hosts', 'Behind the scenes: Hosts', 'Hosts · Behind the scenes'],
  ['#/all', 'Side by side', 'Side by side'],
  ['#/nobody/classes', 'Page not found', 'Page not found'],
];

export function arrivals(world) {
  const { page } = world;
  const arrived = async (heading, title) => {
    const seen = () =>
      page.evaluate(() => {
        const { tagName, textContent } = document.activeElement;
        return [/^H[12]$/.test(tagName) ? textContent : tagName, document.title].join(' | ');
      });
    const wanted = `${heading} | ${title} · Live Classes`;
    await eventually(async () => (await seen()) === wanted, `not ${wanted}`).catch(async (failure) => {
      throw new Error(`${failure.message}, but ${await seen()}`);
    });
  };

  test('every navigation moves the focus to the heading and names the window', async () => {
    const { id } = await world.find(TITLES.course);
    await as(page, 'Tara');
    for (const [hash, heading, title] of pages()) {
      await page.evaluate(
        (to) => {
          location.hash = to;
        },
        hash.replace('ID', id).replace('NONE', `ses_${'a'.repeat(26)}`),
      );
      await arrived(heading, title);
    }
  });

  test('links, buttons and the way back move the focus as well', async () => {
    await as(page, 'Sam');
    await page.locator('.pane-nav').getByRole('link', { name: 'Classes' }).click();
    await page.locator('.pane-nav').getByRole('link', { name: 'Preferences' }).click();
    await arrived('Preferences', 'Preferences · Sam');
    await as(page, 'Tara');
    await page.locator('.pane-nav').getByRole('link', { name: 'Classes' }).click();
    await arrived('Classes', 'Classes · Tara');
    await page.goBack();
    await page.goBack();
    await arrived('Preferences', 'Preferences · Sam');
    await page.goForward();
    await page.goForward();
    await arrived('Classes', 'Classes · Tara');
    // Also a link to the page that is shown.
    const classes = page.locator('.pane-nav').getByRole('link', { name: 'Classes' });
    await classes.focus();
    await page.keyboard.press('Enter');
    await arrived('Classes', 'Classes · Tara');
  });

  test('the focus moves together with the page, so that no key in between is lost', async () => {
    await as(page, 'Sam');
    for (const name of ['Classes', 'Preferences', 'Notifications', 'Preferences']) {
      const focused = await page.evaluate(async (title) => {
        /** @type {HTMLElement} */ (document.querySelector(`.pane-nav a[title="${title}"]`)).click();
        // The page is rendered in a microtask, before any other event.
        await new Promise((resolve) => queueMicrotask(() => queueMicrotask(() => resolve(null))));
        return document.activeElement.textContent;
      }, name);
      equal(focused, name === 'Classes' ? 'Your live classes' : name, `the focus after ${name}`);
    }
  });

  test('side by side, the heading of the pane takes the focus', async () => {
    await as(page, 'Side by side');
    await arrived('Side by side', 'Side by side');
    const sam = page.getByRole('region', { name: /^Sam/ });
    await sam.getByRole('link', { name: /^Notifications/ }).click();
    await arrived('Notifications', 'Side by side');
    await sam.getByRole('link', { name: 'Classes' }).click();
    await arrived('Your live classes', 'Side by side');
    equal(await sam.locator('h2:focus').count(), 1, 'headings with the focus in the pane');
    await as(page, 'Tara');
    await page.locator('.pane-nav').getByRole('link', { name: 'Classes' }).click();
  });

  test('the first visit leaves the focus at the start of the page', async () => {
    const first = await world.context.newPage();
    await first.goto('/#/sam/preferences');
    await first.getByRole('heading', { name: 'Preferences' }).waitFor();
    equal(await first.title(), 'Preferences · Sam · Live Classes');
    equal(await first.evaluate(() => document.activeElement.tagName), 'BODY');
    await first.close();
  });
}
