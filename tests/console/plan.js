// What the plan and the settings allow, on the pages of a trainer and a student, and the reports of the rooms.
import { as } from './lib/people.js';
import { inspect } from './lib/look.js';
import { test, equal, holds } from './lib/runner.js';

/** After the class, in which everybody has joined. */
export function plan(world) {
  const { context, page, stack } = world;
  const set = async (settings) =>
    stack.put('/v1/directory/settings', settings, await stack.bearer({ sub: 'platform', role: 'service' }));
  const classes = async (name) => {
    await as(page, name);
    await page.locator('.pane-nav').getByRole('link', { name: 'Classes' }).click();
    await page.evaluate(() => globalThis.liveClasses.refresh());
  };
  const reports = [];
  // A closed room has no response to ask for later.
  context.on('response', (response) => {
    const { pathname } = new URL(response.url());
    if (pathname.endsWith('/join-report'))
      reports.push({ pathname, status: response.status(), ...response.request().postDataJSON() });
  });

  test('the rooms have reported how long joining took', async () => {
    holds(
      reports.some(({ pathname }) => pathname.startsWith('/v1/sessions/')),
      'no report of a member',
    );
    for (const { milliseconds, status } of reports) {
      holds(Number.isInteger(milliseconds) && milliseconds >= 0, `${milliseconds} milliseconds`);
      equal(status, 204);
    }
  });

  test('a disabled feature shows a friendly page instead of the form', async () => {
    await set({ live_classes_enabled: false, plans: { pro: {} } });
    await classes('Tara');
    await page.getByText('Live classes are switched off').waitFor();
    equal(await page.getByRole('link', { name: 'Schedule a class' }).count(), 0, 'links to the form');
    await inspect(world, page, 'trainer-feature-off');
    await page.goto('/#/tara/new');
    await page.locator('.empty', { hasText: 'Live classes are switched off' }).waitFor();
    equal(await page.getByRole('button', { name: 'Schedule class' }).count(), 0, 'forms');
    await classes('Sam');
    await page.getByText('Live classes are switched off').waitFor();
    await set({ plans: { free: {} } });
    await classes('Tara');
    await page.getByText('Your plan has no live classes').waitFor();
    await set({ plans: { pro: {} } });
  });

  test('the form shows the limits of the plan and hides options that it does not allow', async () => {
    await set({
      plans: { pro: { sessions_per_month: 50, max_duration_minutes: 45, max_invitees: 0, recording: false } },
    });
    await classes('Tara');
    await page.locator('.plan-limits', { hasText: /of 50 classes left this month/ }).waitFor();
    await page.getByRole('link', { name: 'Schedule a class' }).click();
    await page.locator('.plan-limits', { hasText: 'at most 45 minutes each' }).waitFor();
    const durations = await page.getByLabel('Duration', { exact: true }).getByRole('option').allTextContents();
    equal(durations.join(), '15 min,30 min,45 min');
    equal(await page.getByRole('radio', { name: /People by e-mail/ }).count(), 0, 'audiences by e-mail');
    equal(await page.getByRole('switch', { name: 'Record the class' }).count(), 0, 'switches to record');
    await inspect(world, page, 'trainer-plan');
    await page.getByRole('button', { name: 'Discard' }).click();
    await set({ plans: { pro: {} } });
  });
}
