// Countdowns on a computer whose clock is wrong.
import { open } from './lib/browser.js';
import { card } from './lib/people.js';
import { test, eventually, equal } from './lib/runner.js';
import { countdown, span } from '../../local/console/js/time.js';
import { TITLES } from './walk.js';

const WRONG_BY_MS = 3 * 3_600_000;
const SECOND_MS = 1000;

/** Whether a page shows the time until `until`. The page and the test look at the clock within two seconds. */
async function shows(world, text, until, format) {
  const { now } = await world.stack.get('/local/clock');
  const left = new Date(until).getTime() - new Date(now).getTime();
  const shown = await text();
  return [-1, 0, 1, 2].some((seconds) => shown.includes(format(left + seconds * SECOND_MS)));
}

/** Before the join window opens. */
export function countdowns(world, browser, base) {
  test('countdowns follow the server’s time, whatever the clock of the browser is', async () => {
    const { context, wrong } = await open(browser, base);
    await context.addInitScript((wrongBy) => {
      const real = Date.now;
      Date.now = () => real() + wrongBy;
    }, WRONG_BY_MS);
    // Only the local stack has this route.
    await context.route('**/local/clock', (route) => route.abort());
    const page = await context.newPage();
    await page.goto('/#/sam/classes');
    const course = await world.find(TITLES.course);
    const next = card(page, TITLES.course).locator('.countdown strong');
    await eventually(() => shows(world, () => next.textContent(), course.starts_at, span), 'Sam’s countdown');
    const trainers = () => card(page, TITLES.course).locator('.door').textContent();
    await page.goto('/#/tara/classes');
    await eventually(() => shows(world, trainers, course.join.opens_at, span), 'Tara’s countdown');

    const { items } = await world.stack.get('/local/mail');
    const mail = items.find((each) => each.to.includes('guest@example.test') && each.kind === 'scheduled');
    const { text } = await world.stack.get(`/local/mail/${mail.id}/parts`);
    const [link] = text.match(/https?:\/\/\S+\/guest\/[\w-]+/);
    await page.goto(new URL(link).pathname);
    const guests = await world.find(TITLES.guests);
    // A guest's window opens with the students'.
    const { join } = await page.evaluate((token) => {
      const body = JSON.stringify({ token });
      return fetch('/v1/guest/session', { method: 'POST', body }).then((answer) => answer.json());
    }, link.split('/').at(-1));
    equal(new Date(join.opens_at) < new Date(guests.starts_at), true, 'the window opens before the class');
    const guest = () => page.locator('.lobby .countdown').textContent();
    await eventually(
      () => shows(world, guest, join.opens_at, (left) => `Opens in ${countdown(left, 'en')}`),
      'the guest’s countdown',
    );
    equal(wrong.join('\n'), '', 'errors');
    await context.close();
  });
}
