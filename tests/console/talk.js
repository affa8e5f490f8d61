// Communication around a class: mails, notifications, preferences, resent invitations, polls.
import { inspect } from './lib/look.js';
import { as, scene, card, note, answer } from './lib/people.js';
import { test, equal, eventually } from './lib/runner.js';
import { TITLES } from './walk.js';

/** Before the class. */
export function before(world) {
  const { page, stack } = world;

  test('an invitation is resent after a confirmation', async () => {
    await as(page, 'Tara');
    await card(page, TITLES.guests)
      .getByRole('button', { name: /^More for/ })
      .click();
    await page.getByRole('menuitem', { name: 'Resend invitation…' }).click();
    await answer(page, 'Send again');
    await note(page, '2 invitations queued');
  });

  test('notification preferences of a student are stored', async () => {
    await as(page, 'Sam');
    await page.locator('.pane-nav').getByRole('link', { name: 'Preferences' }).click();
    const mail = page.getByRole('switch', { name: 'E-mail' });
    equal(await mail.isChecked(), true, 'mail');
    await mail.click();
    await note(page, 'Switched off.');
    const held = async () => {
      const who = await stack.bearer({
        sub: 'student-1',
        role: 'student',
        email: 'student1@example.test',
        name: 'Sam',
      });
      return (await stack.get('/v1/me/notification-preferences', who)).live_session;
    };
    equal(JSON.stringify(await held()), JSON.stringify({ in_app: true, email: false }));
    await mail.click();
    await eventually(async () => (await held()).email, 'mail is on again');
    await page.locator('.pane-nav').getByRole('link', { name: 'Classes' }).click();
  });
}

/** When the outbox has been swept, before the class. */
export function mails(world) {
  const { page } = world;

  test('a student reads and dismisses a notification after the outbox sweep', async () => {
    await scene(page, 'Clock and sweeps');
    await page.locator('.sweeps li', { hasText: 'outbox-sweep' }).getByRole('button', { name: 'Run now' }).click();
    await note(page, 'outbox-sweep has run');
    await as(page, 'Sam');
    const bell = () => page.locator('.pane-nav').getByRole('link', { name: /^Notifications/ });
    await page.getByRole('link', { name: 'Notifications, 1 unread' }).waitFor();
    await bell().click();
    const told = page.locator('.notices li', { hasText: `New class: ${TITLES.course}` });
    await told.waitFor();
    await inspect(world, page, 'student-notices');
    await told.getByRole('button', { name: /^Mark as read/ }).click();
    await eventually(async () => (await bell().getAttribute('aria-label')) === 'Notifications', 'nothing is unread');
    await told.getByRole('button', { name: /^Dismiss/ }).click();
    await page.getByText('No notifications').waitFor();
    await page.locator('.pane-nav').getByRole('link', { name: 'Classes' }).click();
  });

  test('a mail is shown rendered, as calendar entry and raw', async () => {
    await scene(page, 'Mail');
    await page.locator('.mails a', { hasText: 'student1@example.test' }).first().click();
    const letter = page.locator('.letter');
    const rendered = page.frameLocator('.letter iframe');
    await rendered.getByText(TITLES.course).first().waitFor();
    await letter.getByRole('button', { name: 'Calendar entry' }).click();
    await letter.locator('pre', { hasText: 'BEGIN:VCALENDAR' }).waitFor();
    await letter.getByRole('button', { name: 'Raw' }).click();
    await letter.locator('pre', { hasText: 'MIME-Version: 1.0' }).waitFor();
    await letter.getByRole('button', { name: 'Plain text' }).click();
    await letter.locator('pre', { hasText: TITLES.course }).waitFor();
  });

  test('the trainer sees the delivery status of the mails', async () => {
    await as(page, 'Tara');
    await card(page, TITLES.course).getByRole('link', { name: TITLES.course }).click();
    await page.locator('.facts', { hasText: /Mail\s*5 sent/ }).waitFor();
    await page.getByRole('link', { name: 'Timeline' }).click();
    await page
      .locator('.timeline li', { hasText: 'Invitation to Student 1' })
      .getByText('Sent', { exact: true })
      .waitFor();
    await page.locator('.back').click();
  });
}

/** A page looks at the polls at least this often while the class is live. */
const LOOK_MS = 20_000;

/** While the class is live, in the two rooms. */
export function polls(world) {
  test('a poll is launched, answered, changed, tallied live, and closed after a confirmation', async () => {
    const { tara, sam } = world.rooms;
    const share = (room, option) => room.locator('.tally li', { hasText: option }).locator('.tally-count');
    await tara.getByLabel('Question').fill('Which fraction is larger?');
    await tara.getByLabel('Option 1').fill('Two thirds');
    await tara.getByLabel('Option 2').fill('Three quarters');
    await tara.getByRole('button', { name: 'Launch' }).click();
    await sam.getByRole('button', { name: 'Vote', exact: true }).click({ timeout: LOOK_MS });
    await sam.getByText('Choose an answer first.').waitFor();
    await inspect(world, sam, 'room-vote');
    await sam.getByRole('radio', { name: 'Two thirds' }).check();
    await sam.getByRole('button', { name: 'Vote', exact: true }).click();
    await share(tara, 'Two thirds').getByText('Votes: 1 · 100 %').waitFor();
    await sam.getByRole('button', { name: 'Change my vote' }).click();
    await sam.getByRole('radio', { name: 'Three quarters' }).check();
    await sam.getByRole('button', { name: 'Vote', exact: true }).click();
    await share(tara, 'Three quarters').getByText('Votes: 1 · 100 %').waitFor();
    await share(tara, 'Two thirds').getByText('Votes: 0').waitFor();
    await inspect(world, tara, 'room-poll');
    await tara.getByRole('button', { name: 'Close the poll' }).click();
    await answer(tara, 'Close the poll');
    await sam.locator('.poll', { hasText: 'Which fraction is larger?' }).getByText('Closed').waitFor();
    equal(await sam.getByRole('button', { name: 'Vote', exact: true }).count(), 0, 'ballots');
  });
}
