// Every view in light, dark and at a phone's width: no axe violations, and no content wider than the window.
import { inspect, violations } from './lib/look.js';
import { as, scene, card } from './lib/people.js';
import { test, holds } from './lib/runner.js';
import { TITLES } from './walk.js';

/**
 * `[name, open]`: `open` navigates to a view and returns the page to inspect.
 *
 * @returns {[string, () => Promise<any>][]}
 */
export function views_of(world) {
  const { page, rooms } = world;
  const home = async (name) => {
    await as(page, name);
    await page.locator('.pane-nav').getByRole('link', { name: 'Classes' }).click();
  };
  const class_part = (who, title, part) => async () => {
    const { id } = await world.find(title);
    await page.goto(`/#/${who}/classes/${id}/${part}`);
    await page.getByRole('navigation', { name: 'Parts of the class' }).waitFor();
    await page.locator('.skeleton').first().waitFor({ state: 'detached' });
  };
  const place = (who, to, heading) => async () => {
    await page.goto(`/#/${who}/${to}`);
    await page.getByRole('heading', { name: heading }).first().waitFor();
    await page.locator('.skeleton').first().waitFor({ state: 'detached' });
  };
  const behind = (name) => async () => {
    await scene(page, name);
    await page.locator('.skeleton').first().waitFor({ state: 'detached' });
  };
  const first_of = (name) => async () => {
    await behind(name)();
    await page.locator('.mails a').first().click();
    await page.locator('.reader article').waitFor();
  };
  return [
    [
      'trainer-classes',
      async () => {
        await home('Tara');
        await card(page, TITLES.guests).waitFor();
      },
    ],
    [
      'trainer-past',
      async () => {
        await home('Tara');
        await page.getByRole('button', { name: 'Past and cancelled' }).click();
        await card(page, TITLES.course).waitFor();
      },
    ],
    [
      'trainer-schedule',
      async () => {
        await place('tara', 'new', 'Schedule a class')();
        await page.getByRole('radio', { name: /People by e-mail/ }).check();
        const people = page.getByLabel('People', { exact: true });
        await people.fill('ada@example.test, bob@example');
        await people.press('Enter');
        await page.getByRole('button', { name: 'Schedule class' }).click();
        await page.getByText('Enter a title.').waitFor();
      },
    ],
    ['trainer-class', class_part('tara', TITLES.guests, 'overview')],
    ['trainer-report', class_part('tara', TITLES.course, 'report')],
    ['trainer-timeline', class_part('tara', TITLES.course, 'timeline')],
    [
      'trainer-cancel',
      async () => {
        await class_part('tara', TITLES.guests, 'overview')();
        await page.getByRole('button', { name: 'Cancel', exact: true }).click();
        await page.getByRole('dialog').waitFor();
      },
    ],
    [
      'trainer-edit',
      async () => {
        const { id } = await world.find(TITLES.guests);
        await place('tara', `classes/${id}/edit`, 'Edit class')();
      },
    ],
    ['trainer-notices', place('tara', 'notices', 'Notifications')],
    ['student-preferences', place('sam', 'preferences', 'Preferences')],
    [
      'student-classes',
      async () => {
        await home('Sam');
        await page.getByRole('button', { name: 'Past and cancelled' }).click();
        await card(page, TITLES.course).waitFor();
      },
    ],
    ['platform-bookings', place('platform', 'bookings', 'Bookings')],
    [
      'guest-mailbox',
      async () => {
        await page.goto('/#/gil/mail');
        await page.locator('.notices').first().waitFor();
      },
    ],
    ['unknown-address', place('nobody', 'classes', 'Page not found')],
    ['unknown-page', place('sam', 'nonsense', 'Page not found')],
    ['unknown-class', place('sam', 'classes/ses_aaaaaaaaaaaaaaaaaaaaaaaaaa', 'Class not found')],
    ['student-class', class_part('sam', TITLES.course, 'overview')],
    ['student-recordings', class_part('sam', TITLES.course, 'recordings')],
    [
      'side-by-side',
      async () => {
        await page.goto('/#/all?tara=classes&sam=classes&gil=mail');
        await page.locator('.pane').nth(2).locator('.notices, .empty').first().waitFor();
      },
    ],
    [
      'api-calls',
      async () => {
        await home('Tara');
        await page.locator('.cost-line button').click();
        await page.getByRole('complementary').getByRole('button', { name: 'With reads' }).click();
        await page.locator('.call-line').first().click();
      },
    ],
    ['scenes-mail', first_of('Mail')],
    ['scenes-clock', behind('Clock and sweeps')],
    ['scenes-meeting', first_of('In the meeting')],
    ['scenes-events', behind('Events')],
    ['scenes-scenarios', behind('Scenarios')],
    ['scenes-data', behind('Tables and queues')],
    ['scenes-faults', behind('Faults')],
    ['scenes-dead-letters', behind('Dead letters')],
    ['scenes-usage', behind('Usage')],
    ['scenes-school', behind('School')],
    [
      'zoom-consent',
      async () => {
        const claims = { sub: 'trainer-2', role: 'trainer', email: 'trainer2@example.test', name: 'Tom' };
        const { authorize_url: address } = await world.stack.post(
          '/v1/zoom/authorize',
          { redirect_uri: `${new URL(page.url()).origin}/callback` },
          await world.stack.bearer(claims),
        );
        await page.goto(address);
      },
    ],
    [
      'room-ended',
      async () => {
        await rooms.sam.bringToFront();
        return rooms.sam;
      },
    ],
  ];
}

/** What is open is put away, so that the next view begins where the console begins. */
export async function put_away(page) {
  await page.keyboard.press('Escape');
  const drawer = page.getByRole('button', { name: 'Close the drawer' });
  if (await drawer.isVisible().catch(() => false)) await drawer.click();
}

export function views(world) {
  test('axe reports a violation on a broken page', async () => {
    const page = await world.context.newPage();
    await page.goto('/');
    await page.evaluate(() => {
      document.body.innerHTML = '<main><h1>Wrong</h1><button></button><p id="pale">Pale</p></main>';
      document.getElementById('pale').style.color = '#ccc';
    });
    const found = (await violations(page)).join();
    holds(/button-name/.test(found) && /color-contrast/.test(found), found);
    await page.close();
  });
  for (const [name, open] of views_of(world)) {
    test(`view ${name} is for everybody`, async () => {
      await put_away(world.page);
      const page = (await open()) || world.page;
      await inspect(world, page, name);
    });
  }
}
