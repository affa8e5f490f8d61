// The hosts of the platform’s own Zoom account, and the pages of a trainer with a host.
import { as, scene, card, note, answer, room } from './lib/people.js';
import { inspect } from './lib/look.js';
import { test, equal } from './lib/runner.js';

const CHESS = 'Chess for everybody';
/** Longer than the trainer's join window is open before a class. */
const AHEAD_MS = 20 * 60_000;

/** After the class, while Tara has connected her own Zoom account. */
export function hosting(world) {
  const { page, stack } = world;
  const host = (name) => page.locator('.hosts li', { hasText: name });
  const form = () => page.getByRole('form', { name: 'Request a host' });
  const directory = async (path, body) =>
    stack.put(`/v1/directory/${path}`, body, await stack.bearer({ sub: 'platform', role: 'service' }));
  const set = (settings) => directory('settings', { plans: { pro: {} }, ...settings });
  const tara = (more) =>
    directory('users/trainer-1', {
      email: 'trainer@example.test',
      name: 'Tara Trainer',
      role: 'trainer',
      plan: 'pro',
      ...more,
    });
  const sweep = async () => {
    await page.getByRole('button', { name: 'Run it now' }).click();
    await note(page, 'The meeting sweep has run');
  };
  const request = async (trainer, email, create, licence = 'permanent') => {
    await form().getByLabel('Trainer').selectOption({ label: trainer });
    await form().getByLabel('Address of the Zoom user').fill(email);
    await form().getByLabel('If the account lacks the user').selectOption(create);
    await form().getByLabel('Licence').selectOption(licence);
    await form().getByRole('button', { name: 'Request host' }).click();
  };

  test('an invited host becomes active after the person has accepted', async () => {
    await scene(page, 'Hosts');
    await page.getByText('No hosts yet').waitFor();
    await request('Tom Teacher', 'tom@school.test', 'invite');
    await host('Tom Teacher').getByText('Requested').waitFor();
    await sweep();
    await host('Tom Teacher').getByRole('button', { name: 'Accept the invitation' }).click();
    await note(page, 'Tom Teacher has accepted');
    await stack.post('/local/clock', { advance: '10m' });
    await sweep();
    await host('Tom Teacher').getByText('Active').waitFor();
    await host('Tom Teacher').getByText('Licence since').waitFor();
  });

  test('a refused host shows the reason as a sentence and can be requested again', async () => {
    await stack.post('/zoom/sim/users', { email: 'tara@elsewhere.test' });
    await request('Tara Trainer', 'tara@elsewhere.test', 'invite');
    await host('Tara Trainer').waitFor();
    await sweep();
    await host('Tara Trainer').getByText('belongs to a Zoom user of another account').waitFor();
    await host('Tara Trainer').getByRole('button', { name: 'Request again' }).waitFor();
    await tara({ hosting: 'platform' });
    await as(page, 'Tara');
    await page
      .locator('.zoom-card', { hasText: 'Your host could not be set up' })
      .getByText('another account')
      .waitFor();
    await tara({});
    await scene(page, 'Hosts');
    await request('Tara Trainer', 'tara@example.test', 'auto', 'leased');
    await sweep();
    await host('Tara Trainer').getByText('Active').waitFor();
  });

  test('a trainer with a host connects nothing and schedules in the platform’s account', async () => {
    await as(page, 'Tara');
    await page.getByText('The platform hosts your classes').waitFor();
    await inspect(world, page, 'trainer-hosted');
    equal(await page.getByRole('button', { name: /Connect Zoom/ }).count(), 0, 'buttons to connect Zoom');
    await page.getByRole('link', { name: 'Schedule a class' }).click();
    await page
      .getByLabel('Where it meets')
      .getByRole('option', { name: 'Zoom, in the platform’s account' })
      .waitFor({ state: 'attached' });
    await page.getByRole('radio', { name: /Anyone with the link/ }).check();
    await page.getByLabel('Title', { exact: true }).fill(CHESS);
    const { now } = await stack.get('/local/clock');
    const [day, time] = new Date(new Date(now).getTime() + AHEAD_MS)
      .toLocaleString('sv-SE', { timeZone: 'Europe/Berlin' })
      .split(' ');
    await page.getByLabel('Day', { exact: true }).fill(day);
    await page.getByLabel('Time', { exact: true }).fill(time.slice(0, 5));
    await page.getByText('Co-trainers').click();
    await page.getByRole('switch', { name: 'Tom Teacher' }).check();
    await page.getByRole('button', { name: 'Schedule class' }).click();
    await card(page, CHESS).getByRole('link', { name: CHESS, exact: true }).click();
    await page.locator('.facts', { hasText: 'The platform’s' }).waitFor();
    await page.locator('.facts', { hasText: 'trainer-2' }).waitFor();
  });

  test('a shortage of licences is forecast, and shown to the trainer in words', async () => {
    await set({ licence_limit: 1, licence_shortage: 'refuse' });
    await scene(page, 'Hosts');
    await page
      .getByRole('region', { name: 'Hosts with a licence' })
      .locator('tr', { hasText: 'Tom Teacher' })
      .getByText('permanent')
      .waitFor();
    await page.getByRole('region', { name: 'Licences needed in the next seven days' }).getByText('1 short').waitFor();
    await inspect(world, page, 'scenes-hosts');
    await scene(page, 'Clock and sweeps');
    await page.getByRole('button', { name: '+ 10 min' }).click();
    await note(page, 'It is ');
    await as(page, 'Tara');
    await page.locator('.pane-nav').getByRole('link', { name: 'Classes' }).click();
    await card(page, CHESS).getByText('40 minutes at most').waitFor();
    const class_room = await room(page, card(page, CHESS).getByRole('link', { name: /^Start/ }));
    await class_room.getByRole('button', { name: 'Start the class' }).click();
    await class_room.getByText('No Zoom licence is free').waitFor();
    await class_room.close();
    await card(page, CHESS).getByRole('link', { name: CHESS, exact: true }).click();
    await page.getByText('The platform’s Zoom account has no licence for it').waitFor();
    await set({});
  });

  test('a host with a class ahead is removed only when that is confirmed', async () => {
    await scene(page, 'Hosts');
    await host('Tara Trainer')
      .getByRole('button', { name: /^More for/ })
      .click();
    await page.getByRole('menuitem', { name: 'Remove host…' }).click();
    await answer(page, 'Remove host');
    await page.getByRole('dialog').getByText('Details', { exact: true }).click();
    await page.getByRole('dialog').getByText('conflict', { exact: true }).last().waitFor();
    await page.getByRole('switch', { name: 'Remove although classes are ahead' }).check();
    await answer(page, 'Remove host');
    await note(page, 'The host of Tara Trainer is removed');
    await host('Tara Trainer').getByText('Removed').waitFor();
    const { id } = await world.find(CHESS);
    const trainer = await stack.bearer({
      sub: 'trainer-1',
      role: 'trainer',
      email: 'trainer@example.test',
      name: 'Tara Trainer',
    });
    await stack.post(`/v1/sessions/${id}/cancel`, {}, trainer);
    await as(page, 'Tara');
    await page.locator('.pane-nav').getByRole('link', { name: 'Classes' }).click();
    await page.getByText('Zoom connected').waitFor();
  });
}
