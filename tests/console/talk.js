// What is said around a class: invitations again, preferences.
import { as, card, note, answer } from './lib/people.js';
import { test, equal, eventually } from './lib/runner.js';
import { TITLES } from './walk.js';

/** Before the class. */
export function before(world) {
  const { page, stack } = world;

  test('an invitation is sent again after a question', async () => {
    await as(page, 'Tara');
    await card(page, TITLES.guests).getByRole('button', { name: /^More for/ }).click();
    await page.getByRole('menuitem', { name: 'Resend invitation…' }).click();
    await answer(page, 'Send again');
    await note(page, '2 invitations are on their way');
  });

  test('a student says how they want to be told, and it is kept', async () => {
    await as(page, 'Sam');
    await page.locator('.pane-nav').getByRole('link', { name: 'Preferences' }).click();
    const mail = page.getByRole('switch', { name: 'E-mail' });
    equal(await mail.isChecked(), true, 'mail');
    await mail.click();
    await note(page, 'Switched off.');
    const held = async () => {
      const who = await stack.bearer({ sub: 'student-1', role: 'student', email: 'student1@example.test', name: 'Sam' });
      return (await stack.get('/v1/me/notification-preferences', who)).live_session;
    };
    equal(JSON.stringify(await held()), JSON.stringify({ in_app: true, email: false }));
    await mail.click();
    await eventually(async () => (await held()).email, 'mail is on again');
    await page.locator('.pane-nav').getByRole('link', { name: 'Classes' }).click();
  });
}
