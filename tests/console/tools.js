// The developer's tools: searches, tables and queues, Zoom's events, the clock, dead letters and scenarios.
import { inspect } from './lib/look.js';
import { as, scene, card, note } from './lib/people.js';
import { test, equal, eventually, holds } from './lib/runner.js';
import { TITLES } from './walk.js';

/** Thirty people join one after the other, also on a slow machine. */
const SCENARIO_MS = 60_000;

/** After the class. The last test returns to the trainer's classes. */
export function tools(world) {
  const { page, stack } = world;

  test('mails can be searched by recipient, subject and kind', async () => {
    await scene(page, 'Mail');
    const mails = page.getByRole('list', { name: 'Mails' }).locator('li');
    await mails.first().waitFor();
    const all = await mails.count();
    await page.getByRole('searchbox', { name: 'Search mails' }).fill('student1@example.test scheduled');
    await eventually(async () => (await mails.count()) < all, 'fewer mails');
    for (const text of await mails.allTextContents()) holds(text.includes('student1@example.test'), text);
    await page.getByRole('searchbox', { name: 'Search mails' }).fill('nonsense');
    await page.getByText('0 mails found').waitFor();
  });

  test('API calls can be searched by path and content', async () => {
    await page.locator('.cost-line button').click();
    const drawer = page.getByRole('complementary', { name: 'API calls' });
    await drawer.getByRole('button', { name: 'Stack' }).click();
    await drawer.getByRole('searchbox', { name: 'Search calls' }).fill('get /local/mail');
    await drawer.locator('.call-line', { hasText: '/local/mail' }).first().waitFor();
    equal(await drawer.locator('.call-line', { hasNotText: '/local/mail' }).count(), 0, 'other calls');
    await drawer.getByRole('button', { name: 'Close the drawer' }).click();
  });

  test('tables and queues can be read', async () => {
    await scene(page, 'Tables and queues');
    const { environment } = await stack.get('/local/config');
    const { id } = await world.find(TITLES.course);
    await page.getByLabel('Table', { exact: true }).selectOption(environment.TABLE_NAME);
    await page.getByLabel(/^Partition/).fill(`SESSION#${id}`);
    await page.getByRole('button', { name: 'Show', exact: true }).click();
    const items = page.getByRole('list', { name: 'Items' }).locator('li');
    const stored = items.filter({ hasText: TITLES.course }).first();
    await stored.locator('summary').click();
    await stored.locator('pre', { hasText: '"pk"' }).waitFor();
    const url = environment.OUTBOX_QUEUE_URL;
    await stack.post(
      '/local/aws/',
      { QueueUrl: url, MessageBody: '{"type":"parcel"}', DelaySeconds: 900 },
      { 'x-amz-target': 'AmazonSQS.SendMessage', 'content-type': 'application/x-amz-json-1.0' },
    );
    await page.getByRole('button', { name: `Messages of ${url.split('/').pop()}`, exact: true }).click();
    // Messages of the class may be in the queue as well.
    const message = page.locator('details', { hasText: 'parcel' });
    await message.getByText('received 0 times').waitFor();
    await message.getByText(/hidden until/).waitFor();
  });

  test('an event of Zoom can be triggered and sent again', async () => {
    await scene(page, 'Events');
    await page.getByRole('searchbox', { name: 'Search events' }).fill('meeting.started');
    await page.getByRole('button', { name: 'Send again: meeting.started' }).first().click();
    await note(page, 'The webhook answered 200');
    await page.locator('.toast', { hasText: 'The webhook answered 200' }).first().waitFor({ state: 'detached' });
    const form = page.getByRole('form', { name: 'Trigger an event' });
    await form.getByLabel('Event').selectOption('meeting.participant_joined');
    await form.getByRole('button', { name: 'Send' }).click();
    await note(page, 'The webhook answered 200');
  });

  test('the clock can be set to a date', async () => {
    await scene(page, 'Clock and sweeps');
    const { now } = await stack.get('/local/clock');
    const later = new Date(new Date(now).getTime() + 120_000);
    const local = later.toLocaleString('sv-SE', { timeZone: 'Europe/Berlin' }).replace(' ', 'T').slice(0, 16);
    const form = page.getByRole('form', { name: 'Set the clock' });
    await form.getByLabel('Date and time').fill(local);
    await form.getByRole('button', { name: 'Set' }).click();
    await note(page, 'It is ');
    const after = new Date((await stack.get('/local/clock')).now).toLocaleString('sv-SE', {
      timeZone: 'Europe/Berlin',
    });
    equal(after.slice(0, 16).replace(' ', 'T'), local, 'the time of the stack');
  });

  test('a dead letter shows its kind, addressee and error', async () => {
    const queueUrl = (await stack.get('/local/config')).environment.OUTBOX_DLQ_URL;
    const message = { v: 1, type: 'mail', kind: 'reminder_hour_before', user: 'student-3', error: 'throttled' };
    await stack.post(
      '/local/aws/',
      { QueueUrl: queueUrl, MessageBody: JSON.stringify(message) },
      { 'x-amz-target': 'AmazonSQS.SendMessage', 'content-type': 'application/x-amz-json-1.0' },
    );
    await scene(page, 'Dead letters');
    const letter = page.locator('.dead-letter', { hasText: 'student-3' });
    await letter.getByText('reminder hour before').waitFor();
    await letter.getByText('throttled', { exact: true }).waitFor();
  });

  test('a scenario reaches a live class with 30 students, and has an address', async () => {
    await page.goto('/#/scenes/scenarios/live');
    await page.getByRole('button', { name: 'Play: Live with 30 students' }).click();
    const link = page.getByRole('link', { name: /^Open “Live with 30 students” as Tara/ });
    await link.waitFor({ timeout: SCENARIO_MS });
    await link.click();
    await page
      .getByRole('navigation', { name: 'Parts of the class' })
      .getByRole('link', { name: 'After class' })
      .click();
    await page.getByText('Learner 30', { exact: true }).waitFor();
    const { id } = await world.find('Live with 30 students');
    await stack.post(`/v1/sessions/${id}/cancel`, {}, await world.trainer());
  });

  test('a class whose meeting was deleted at Zoom shows it to trainer and student', async () => {
    await scene(page, 'Scenarios');
    await page.getByRole('button', { name: 'Play: Deleted at Zoom' }).click();
    await page.getByRole('link', { name: /^Open “Starting soon” as Tara/ }).click();
    await page.getByText('The meeting was deleted at Zoom', { exact: true }).first().waitFor();
    holds(await page.getByRole('button', { name: /^Start/ }).isDisabled(), 'Start is disabled');
    await inspect(world, page, 'trainer-deleted');
    await page.locator('.pane-nav').getByRole('link', { name: 'Classes' }).click();
    await card(page, 'Starting soon').getByText('Deleted at Zoom', { exact: true }).waitFor();
    await as(page, 'Sam');
    await page.locator('.pane-nav').getByRole('link', { name: 'Classes' }).click();
    await card(page, 'Starting soon').getByText('No meeting yet').waitFor();
    await card(page, 'Starting soon').getByRole('link', { name: 'Starting soon', exact: true }).click();
    await page.getByText('The class has no meeting at Zoom').waitFor();
    await inspect(world, page, 'student-deleted');
    const { id } = await world.find('Starting soon');
    await stack.post(`/v1/sessions/${id}/cancel`, {}, await world.trainer());
    await page.locator('.pane-nav').getByRole('link', { name: 'Classes' }).click();
    await as(page, 'Tara');
  });
}
