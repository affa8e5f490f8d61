// The pages of the platform's back end: bookings, payments, imports, runs and logs.
import { as, answer, note } from './lib/people.js';
import { inspect } from './lib/look.js';
import { test, equal } from './lib/runner.js';
import { TITLES } from './walk.js';

/** After the class, while Tara has connected her Zoom account. */
export function platform(world) {
  const { page, stack } = world;
  const part = async (name) => {
    await as(page, 'Platform');
    await page.getByRole('navigation', { name: 'The platform’s pages' }).getByRole('link', { name }).click();
    await page.locator('.skeleton').first().waitFor({ state: 'detached' });
  };
  const booking = (ref) => page.getByRole('list', { name: 'Bookings' }).locator('li', { hasText: ref });
  const form = (name) => page.getByRole('form', { name });
  const classes = async (ref) => {
    const service = await stack.bearer({ sub: 'platform', role: 'service' });
    return (await stack.get(`/v1/sessions?external_ref=${ref}`, service)).items;
  };

  test('a booking is confirmed, repeated and moved as one class', async () => {
    await part('Bookings');
    await page.getByText('No bookings yet').waitFor();
    await form('Confirm a booking').getByLabel('Zoom meeting').selectOption('later');
    for (let n = 0; n < 2; n += 1) {
      await page.getByRole('button', { name: 'Confirm booking' }).click();
      await note(page, 'Confirmed');
      await booking('booking-1').getByText('Meeting later').waitFor();
    }
    const [before, ...others] = await classes('booking-1');
    equal(others.length, 0, 'other classes');
    await booking('booking-1').getByRole('button', { name: 'Move by a day: booking-1' }).click();
    await note(page, 'booking-1 is moved');
    const [after] = await classes('booking-1');
    equal(after.id, before.id);
    equal(Date.parse(after.starts_at) - Date.parse(before.starts_at), 86_400_000, 'milliseconds');
    await inspect(world, page, 'platform-bookings');
  });

  test('a form of the platform shows what the API refuses', async () => {
    await form('Confirm a booking').getByLabel('Day', { exact: true }).fill('2020-01-01');
    await page.getByRole('button', { name: 'Confirm booking' }).click();
    await form('Confirm a booking').getByText('must lie in the future').waitFor();
  });

  test('a payment is carried out at once, and refunded', async () => {
    await part('Payments');
    await form('Pay').getByLabel('Student').selectOption('student-9');
    await form('Pay').getByLabel('A class with').selectOption('trainer-1');
    await page.getByRole('button', { name: 'Pay', exact: true }).click();
    const payment = page.getByRole('list', { name: 'Payments' }).locator('li', { hasText: 'payment-1' });
    await payment.getByText('Done').waitFor();
    await payment.getByText('1 of 1 classes made').waitFor();
    await inspect(world, page, 'platform-payments');
    await payment.getByRole('button', { name: 'Refund payment-1' }).click();
    await answer(page, 'Refund');
    await payment.getByText('Refunded').waitFor();
  });

  test('a term is imported, and a wrong line is named', async () => {
    await part('Import');
    await page.getByRole('button', { name: 'Import', exact: true }).click();
    const result = page.getByRole('region', { name: 'Answer' });
    await result.getByText('6 accepted').waitFor();
    const lines = form('Import classes').getByLabel('Lines');
    await lines.fill(`${(await lines.inputValue()).split('\n')[0]}\n{"external_ref":"polls"}`);
    await page.getByRole('button', { name: 'Import', exact: true }).click();
    await result.getByText('1 rejected').waitFor();
    await page.getByRole('region', { name: 'Rejected lines' }).getByText('validation_failed').waitFor();
    await inspect(world, page, 'platform-import');
  });

  test('a run that was requested makes the meetings and leaves a report', async () => {
    await part('Runs');
    await form('Request a run').getByLabel('Days ahead').fill('10');
    await page.getByRole('button', { name: 'Request a run' }).click();
    await note(page, 'Requested');
    await page.getByRole('button', { name: 'Run it now' }).click();
    await note(page, 'The meeting sweep has run');
    await page.getByRole('region', { name: 'Runs' }).getByText('Finished').first().waitFor();
    const [{ meeting_state: state }] = await classes('booking-1');
    equal(state, 'ready');
    await inspect(world, page, 'platform-runs');
  });

  test('the logs show clicks and events to administrators', async () => {
    await part('Logs');
    const held = await world.find(TITLES.course);
    await page.getByLabel('Day, in UTC').fill(held.actual_started_at.slice(0, 10));
    await page
      .getByRole('region', { name: 'Clicks on start and join' })
      .getByText('start', { exact: true })
      .first()
      .waitFor();
    await form('Find events').getByLabel('Meeting number').fill(held.meeting.id);
    await page.getByRole('button', { name: 'Find', exact: true }).click();
    await page.getByRole('list', { name: 'Events' }).getByText('meeting.started').first().waitFor();
    await inspect(world, page, 'platform-logs');
  });

  test('a booking is cancelled after a question', async () => {
    await part('Bookings');
    await booking('booking-1').getByRole('button', { name: 'Cancel booking-1' }).click();
    await answer(page, 'Cancel booking');
    await note(page, 'booking-1 is cancelled');
    await booking('booking-1').getByText('Cancelled').waitFor();
    await as(page, 'Tara');
    await page.locator('.pane-nav').getByRole('link', { name: 'Classes' }).click();
  });
}
