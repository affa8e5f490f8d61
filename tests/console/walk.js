// One class from connecting Zoom to its attendance, as trainer, student and guest, on the pages that people use.
import { readFileSync } from 'node:fs';
import { client } from './lib/stack.js';
import { open } from './lib/browser.js';
import { as, scene, consent, room, card, note, answer } from './lib/people.js';
import { before, mails, polls } from './talk.js';
import { hosting } from './hosting.js';
import { plan } from './plan.js';
import { countdowns } from './countdown.js';
import { platform } from './platform.js';
import { afterClass } from './after-class.js';
import { arrivals } from './arrivals.js';
import { inspect } from './lib/look.js';
import { test, equal, holds, eventually } from './lib/runner.js';
import { tools } from './tools.js';

export const TITLES = { course: 'Fractions and decimals', guests: 'Geometry workshop', link: 'Office hour' };

/** Adds the tests to the runner. Answers what the tests after it go on with: the page, and the complaints. */
export async function walk(browser, base) {
  const { context, wrong } = await open(browser, base);
  const page = await context.newPage();
  const stack = client(base);
  const world = { context, page, stack, wrong, rooms: {} };
  const trainer = () =>
    stack.bearer({ sub: 'trainer-1', role: 'trainer', email: 'trainer@example.test', name: 'Tara Trainer' });
  const classes = async () => (await stack.get('/v1/sessions?limit=100', await trainer())).items;
  const find = async (title) => (await classes()).find((each) => each.title === title);
  world.find = find;
  world.trainer = trainer;
  const field = (name) => page.getByLabel(name, { exact: true });

  test('a new user sees the trainer’s page with the first step', async () => {
    await page.goto('/');
    await page.getByRole('heading', { name: 'Classes', exact: true }).waitFor();
    await page.getByText('Connect your Zoom account').waitFor();
    await page.getByText('No upcoming classes').waitFor();
    // Gone as soon as anything loads the page anew; looked for at the end.
    await page.evaluate(() => {
      globalThis.neverReloaded = true;
    });
  });

  test('scheduling without Zoom shows an error with its code and keeps the form', async () => {
    await page.getByRole('link', { name: 'Schedule a class' }).click();
    await page.getByRole('radio', { name: /Anyone with the link/ }).check();
    await field('Title').fill(TITLES.link);
    await page.getByRole('button', { name: 'Schedule class' }).click();
    await page.locator('form .note.bad', { hasText: 'zoom_not_connected' }).waitFor();
    equal(await field('Title').inputValue(), TITLES.link);
  });

  test('a draft survives a visit to another person’s page', async () => {
    await as(page, 'Sam');
    await page.getByRole('heading', { name: 'Your live classes' }).waitFor();
    await as(page, 'Tara');
    equal(await field('Title').inputValue(), TITLES.link);
    await page.getByRole('button', { name: 'Discard' }).click();
  });

  test('declining at Zoom shows that nothing changed', async () => {
    await consent(page, { decision: 'Deny' });
    await note(page, 'Nothing changed');
    await page.getByText('Connect your Zoom account').waitFor();
  });

  test('a missing permission is listed and reconnecting adds it', async () => {
    await consent(page, { without: ['meeting:read:list_past_participants'] });
    await page.getByText('Zoom permissions are missing').waitFor();
    await page.locator('.scopes', { hasText: 'meeting:read:list_past_participants' }).waitFor();
    await consent(page);
    await page.getByText('Zoom connected').waitFor();
    await page.getByText('Zoom permissions are missing').waitFor({ state: 'hidden' });
  });

  test('an empty form shows errors at the fields and focuses the first', async () => {
    await page.getByRole('link', { name: 'Schedule a class' }).click();
    await page.getByRole('button', { name: 'Schedule class' }).click();
    await page.getByText('Enter a title.').waitFor();
    await eventually(
      () => page.evaluate(() => document.activeElement?.getAttribute('role') === 'combobox'),
      'the first wrong field has the focus',
    );
    equal(await page.getByRole('combobox', { name: 'Course' }).getAttribute('aria-invalid'), 'true');
  });

  test('API errors appear at their fields', async () => {
    await field('Title').fill(TITLES.course);
    const course = page.getByRole('combobox', { name: 'Course' });
    await course.click();
    await page.keyboard.type('alg');
    await page.keyboard.press('Enter');
    equal(await course.inputValue(), 'Algebra I');
    await field('Day').fill('2020-01-01');
    await page.getByRole('button', { name: 'Schedule class' }).click();
    await page.locator('.field.wrong', { hasText: 'Day' }).locator('.error').waitFor();
    equal(await field('Title').inputValue(), TITLES.course);
  });

  test('a double click schedules a course’s class once', async () => {
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
    await field('Day').fill(tomorrow);
    await page.getByLabel('Description').fill('Bring paper and a ruler.');
    await page.getByLabel('Record the class').check();
    await page.getByRole('button', { name: 'Schedule class' }).dblclick();
    await note(page, 'is scheduled');
    await card(page, TITLES.course).waitFor();
    equal((await classes()).filter((each) => each.title === TITLES.course).length, 1, 'classes of that title');
  });

  test('invitees are entered by address and invalid ones can be removed', async () => {
    await page.getByRole('link', { name: 'Schedule a class' }).click();
    await page.getByRole('radio', { name: /People by e-mail/ }).check();
    const people = page.getByLabel('People', { exact: true });
    await people.fill('nobody');
    await people.press('Enter');
    await page.getByText('nobody is not an e-mail address').waitFor();
    await page.getByRole('button', { name: 'Remove nobody' }).click();
    await people.fill('guest@example.test,');
    await people.fill('Ada Lovelace <ada@example.test>');
    await people.press('Enter');
    await page.getByText('Ada Lovelace · ada@example.test').waitFor();
    await field('Title').fill(TITLES.guests);
    await field('Time').fill('20:00');
    await page.getByRole('combobox', { name: 'Time zone' }).click();
    await page.keyboard.type('kolkata');
    if (
      !(await page
        .getByRole('option', { name: /Kolkata|Calcutta/ })
        .isVisible()
        .catch(() => false))
    )
      await page.getByRole('combobox', { name: 'Time zone' }).fill('calcutta');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Schedule class' }).click();
    await note(page, 'is scheduled');
    await card(page, TITLES.guests).getByText('2 people invited').waitFor();
  });

  test('a standalone class can use the trainer’s own link', async () => {
    await page.getByRole('link', { name: 'Schedule a class' }).click();
    await page.getByRole('radio', { name: /Anyone with the link/ }).check();
    await field('Title').fill(TITLES.link);
    await field('Time').fill('17:00');
    await page.getByLabel('Where it meets').selectOption('manual');
    await field('Link').fill('https://meet.example.test/office-hour');
    await page.getByRole('button', { name: 'Schedule class' }).click();
    await card(page, TITLES.link).getByText('Own link').waitFor();
  });

  test('a class at the time of another one is shown, and can be scheduled anyway', async () => {
    const service = await stack.bearer({ sub: 'platform', role: 'service' });
    const set = (settings) => stack.put('/v1/directory/settings', { plans: { pro: {} }, ...settings }, service);
    await set({ overlap: 'refuse' });
    const { starts_at: startsAt } = await find(TITLES.guests);
    const other = await stack.post(
      '/v1/sessions',
      {
        title: 'First aid',
        audience_type: 'standalone',
        starts_at: startsAt,
        duration_minutes: 60,
        timezone: 'UTC',
        allow_overlap: true,
      },
      await trainer(),
    );
    await page.getByRole('link', { name: 'Schedule a class' }).click();
    await page.getByRole('radio', { name: /Anyone with the link/ }).check();
    await field('Title').fill('Second aid');
    await field('Day').fill(startsAt.slice(0, 10));
    await field('Time').fill(startsAt.slice(11, 16));
    const zone = page.getByRole('combobox', { name: 'Time zone' });
    await zone.click();
    await zone.fill('utc');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Schedule class' }).click();
    const conflict = page.locator('form .note.warn', { hasText: 'Another class takes place at that time' });
    await conflict.getByRole('link').waitFor();
    await conflict.getByRole('button', { name: 'Schedule anyway' }).click();
    await note(page, 'overlaps with another class');
    await card(page, 'Second aid').getByText('Overlaps').waitFor();
    for (const { id } of [other, await find('Second aid')])
      await stack.post(`/v1/sessions/${id}/cancel`, {}, await trainer());
    await set({});
  });

  test('Start is visible before the window, disabled with its reason', async () => {
    const start = card(page, TITLES.course).getByRole('button', { name: /^Start/ });
    holds(await start.isDisabled(), 'Start is disabled');
    await card(page, TITLES.course)
      .getByText(/^Opens in/)
      .waitFor();
  });

  test('a class elsewhere shows the viewer’s time first, and then its own', async () => {
    const when = card(page, TITLES.guests).locator('.when');
    // 20:00 in Kolkata is 15:30 in Berlin in winter, and 16:30 in summer.
    holds(/^\w{3},? \d+ \w{3,4}, 1[56]:30–/.test(await when.locator('time').textContent()), await when.textContent());
    holds(/20:00–2\d:\d\d in (Kolkata|Calcutta)$/.test(await when.textContent()), await when.textContent());
    equal(await card(page, TITLES.course).locator('.when-elsewhere').count(), 0, 'other times of a class here');
  });

  test('the link can be copied', async () => {
    await card(page, TITLES.course).getByRole('button', { name: 'Copy link' }).click();
    await note(page, 'Link copied');
    equal(await page.evaluate(() => navigator.clipboard.readText()), (await find(TITLES.course)).meeting.join_url);
  });

  test('a conflicting edit is reported and keeps the changes', async () => {
    await card(page, TITLES.guests).getByRole('button', { name: /^Edit/ }).click();
    await page.getByRole('heading', { name: 'Edit class' }).waitFor();
    await field('Title').fill('Geometry workshop, part one');
    const now = await stack.get(`/v1/sessions/${(await find(TITLES.guests)).id}`, await trainer());
    await stack.put(
      `/v1/sessions/${now.id}`,
      {
        title: now.title,
        description: 'From elsewhere.',
        audience_type: 'invitees',
        invitees: now.invitees,
        starts_at: now.starts_at,
        timezone: now.timezone,
        duration_minutes: 60,
      },
      await trainer(),
    );
    await page.getByRole('button', { name: 'Save changes' }).click();
    await page.getByText('Changed since you opened it').waitFor();
    equal(await field('Title').inputValue(), 'Geometry workshop, part one');
    await page.getByRole('button', { name: 'Discard my changes' }).click();
    await page.getByText('From elsewhere.').waitFor();
  });

  test('an edit is saved and shown', async () => {
    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    await page.getByLabel('Description').fill('Compasses and protractors.');
    await page.getByRole('button', { name: 'Save changes' }).click();
    await note(page, 'Saved.');
    await page.getByText('Compasses and protractors.').waitFor();
  });

  test('a Zoom failure shows its code, keeps the form, and a retry succeeds', async () => {
    await scene(page, 'Faults');
    await page.getByLabel('Call', { exact: true }).selectOption('create_meeting');
    await page.getByRole('button', { name: 'Inject' }).click();
    await note(page, 'The next matching call fails');
    await as(page, 'Tara');
    await page.locator('.back').click();
    await page.getByRole('link', { name: 'Schedule a class' }).click();
    await page.getByRole('radio', { name: /Anyone with the link/ }).check();
    await field('Title').fill('Against the wind');
    await page.getByRole('button', { name: 'Schedule class' }).click();
    await page.locator('form .note.bad', { hasText: 'zoom_unavailable' }).waitFor();
    // Until the first attempt has run out, another could make a second meeting.
    await stack.post('/local/clock', { advance: '1m' });
    await page.getByRole('button', { name: 'Schedule class' }).click();
    await card(page, 'Against the wind').waitFor();
    equal((await classes()).filter((each) => each.title === 'Against the wind').length, 1, 'classes of that title');
  });

  test('cancelling asks for confirmation, Escape keeps the class, and a reason is sent', async () => {
    const menu = () => card(page, 'Against the wind').getByRole('button', { name: 'More for Against the wind' });
    await menu().click();
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: /Cancel “Against the wind”/ }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    equal((await find('Against the wind')).status, 'scheduled', 'status');
    await menu().click();
    await page.getByRole('menuitem', { name: 'Cancel class…' }).click();
    await page.getByLabel(/Reason/).fill('The fire alarm.');
    await answer(page, 'Cancel the class');
    await note(page, 'The class is cancelled');
    await card(page, 'Against the wind').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Past and cancelled' }).click();
    await card(page, 'Against the wind').getByText('Cancelled').waitFor();
    await page.getByRole('button', { name: 'Active' }).click();
  });

  test('a student sees the classes of the course with a join window that is not open yet', async () => {
    await as(page, 'Sam');
    const next = page.getByRole('region', { name: 'Next class' });
    await next.getByRole('link', { name: TITLES.course, exact: true }).waitFor();
    await next.getByText(/^Starts in/).waitFor();
    await card(page, TITLES.course)
      .getByText(/opens in/)
      .waitFor();
    holds(await card(page, TITLES.course).getByRole('button', { name: 'Join' }).isDisabled(), 'Join is disabled');
    equal(await card(page, TITLES.guests).count(), 0, 'the guests’ class in the student’s list');
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      next.getByRole('button', { name: /^Add to calendar/ }).click(),
    ]);
    equal(file.suggestedFilename(), 'class.ics');
    // The entry is the mailed one, with the student as its attendee.
    const entry = readFileSync(await file.path(), 'utf8');
    const { id } = await find(TITLES.course);
    for (const line of ['METHOD:REQUEST', `UID:${id}@live-classes`, 'STATUS:CONFIRMED'])
      holds(entry.split('\r\n').includes(line), `${line} in the calendar entry`);
    holds(entry.replaceAll('\r\n ', '').includes(':mailto:student1@example.test'), 'the student is the attendee');
    equal(await page.getByRole('link', { name: /^Watch recording/ }).count(), 0, 'classes with a recording');
    await page.getByText('Classes may be recorded.').waitFor();
    await inspect(world, page, 'student-next');
    await page.goto(`/#/sam/classes/${id}/recordings`);
    await page.getByText('The recording appears here after the class.').waitFor();
    await inspect(world, page, 'student-no-recording');
    await page.goto('/#/sam/classes');
  });

  test('side by side, a change appears on the other pages', async () => {
    await as(page, 'Side by side');
    const pane = (name) => page.getByRole('region', { name: new RegExp(`^${name}`) });
    await pane('Sam').getByRole('link', { name: TITLES.course }).waitFor();
    await pane('Gil').getByRole('heading', { name: 'Mailbox' }).waitFor();
    await pane('Sam').getByRole('link', { name: TITLES.course }).click();
    await page.goBack();
    await pane('Sam').getByRole('heading', { name: 'Your live classes' }).waitFor();
  });

  mails(world);

  test('a guest without an account enters through the link in the mail', async () => {
    await stack.post('/local/schedules/outbox-sweep/run', {});
    await as(page, 'Gil');
    const guest = await room(page, page.getByRole('link', { name: /^Open the class/ }).first());
    await guest.getByRole('heading', { name: TITLES.guests }).first().waitFor();
    equal(new URL(guest.url()).pathname, '/guest', 'the address without the token');
    await guest.getByText(/You can join from/).waitFor();
    await guest.getByText('Classes may be recorded.').waitFor();
    await inspect(world, guest, 'guest-lobby');
    await guest.reload();
    await guest.getByText('To come back, open the link in your mail.').waitFor();
    await guest.close();
  });
  countdowns(world, browser, base);
  before(world);

  test('after moving the clock, the join window opens without a reload', async () => {
    await scene(page, 'Clock and sweeps');
    await page.getByRole('button', { name: 'To the next class' }).click();
    await note(page, 'It is ');
    await as(page, 'Sam');
    await card(page, TITLES.course).getByRole('link', { name: /^Join/ }).waitFor();
    const soon = page.locator('.class.soon', { hasText: TITLES.course });
    await soon.getByText('Starting soon').waitFor();
    // The browser asks for less motion.
    equal(await soon.locator('.leaf').evaluate((leaf) => getComputedStyle(leaf).animationName), 'none');
    await page.emulateMedia({ reducedMotion: 'no-preference' });
    equal(await soon.locator('.leaf').evaluate((leaf) => getComputedStyle(leaf).animationName), 'pulse');
    await inspect(world, page, 'student-soon');
  });

  test('an early student waits and joins automatically when the trainer starts', async () => {
    // One click in the list, and no other in the room.
    world.rooms.sam = await room(page, card(page, TITLES.course).getByRole('link', { name: /^Join/ }));
    await world.rooms.sam.getByText('Waiting for the trainer').waitFor();
    equal(new URL(world.rooms.sam.url()).search, '?as=sam', 'a reload does not join again');
    await inspect(world, world.rooms.sam, 'room-waiting');
    await as(page, 'Tara');
    world.rooms.tara = await room(page, card(page, TITLES.course).getByRole('link', { name: /^Start/ }));
    await inspect(world, world.rooms.tara, 'room-lobby');
    await world.rooms.tara.getByRole('button', { name: 'Start the class' }).click();
    await world.rooms.tara.locator('.seat.host', { hasText: 'Tara Trainer' }).waitFor();
    await world.rooms.sam.locator('.seat', { hasText: 'Sam Student' }).waitFor();
    await world.rooms.tara.locator('.seat', { hasText: 'Sam Student' }).waitFor();
    await card(page, TITLES.course).getByText('Live', { exact: true }).waitFor();
    await inspect(world, page, 'trainer-live');
    await as(page, 'Sam');
    await card(page, TITLES.course).getByText('Live', { exact: true }).waitFor();
    await inspect(world, page, 'student-live');
    await as(page, 'Tara');
  });

  test('the room is cross-origin isolated and the console is not', async () => {
    equal(await world.rooms.sam.evaluate(() => globalThis.crossOriginIsolated), true, 'the room');
    equal(await page.evaluate(() => globalThis.crossOriginIsolated), false, 'the console');
  });

  test('a student can leave and join again', async () => {
    const sam = world.rooms.sam;
    await sam.getByRole('button', { name: 'Leave', exact: true }).click();
    await sam.getByText('You have left the class').waitFor();
    await world.rooms.tara.locator('.seat', { hasText: 'Sam Student' }).waitFor({ state: 'detached' });
    await sam.getByRole('button', { name: 'Join again' }).click();
    await sam.locator('.seat', { hasText: 'Sam Student' }).waitFor();
  });

  test('the room has four languages, one right to left, and full screen', async () => {
    const sam = world.rooms.sam;
    const language = sam.locator('.language select');
    for (const [code, direction, word] of [
      ['ar', 'rtl', 'الاستطلاعات'],
      ['hi', 'ltr', 'मतदान'],
      ['es', 'ltr', 'Encuestas'],
      ['en', 'ltr', 'Polls'],
    ]) {
      await language.selectOption(code);
      await sam.locator('#polls-heading', { hasText: word }).waitFor();
      equal(await sam.evaluate(() => document.documentElement.dir), direction, code);
      equal(await sam.evaluate(() => document.documentElement.lang), code, 'language');
      await inspect(world, sam, `room-${code}`);
    }
    // Only what is in front can fill the screen.
    await sam.bringToFront();
    await sam.getByRole('button', { name: 'Full screen' }).click();
    await eventually(() => sam.evaluate(() => Boolean(document.fullscreenElement)), 'it fills the screen');
    await sam.evaluate(() => document.exitFullscreen());
    await page.bringToFront();
  });

  polls(world);

  world.during = () => {
    test('an unknown participant joins, and the class ends for everyone after a confirmation', async () => {
      await scene(page, 'In the meeting');
      await page.locator('.mails a', { hasText: TITLES.course }).click();
      await page.getByLabel('Name').fill('iPhone');
      await page.getByRole('button', { name: 'Join', exact: true }).click();
      await page.locator('.inside', { hasText: 'iPhone' }).waitFor();
      await scene(page, 'Clock and sweeps');
      await page.getByRole('button', { name: '+ 1 h' }).click();
      await note(page, 'It is ');
      const tara = world.rooms.tara;
      await tara.getByRole('button', { name: 'End for everyone' }).click();
      await tara.getByRole('dialog', { name: 'End the class for everyone?' }).waitFor();
      await answer(tara, 'End for everyone');
      await tara.getByText('The class has ended').waitFor();
      await world.rooms.sam.getByText('The class has ended').waitFor();
    });

    afterClass(world);

    test('the drawer shows the cost of a click and its calls as curl commands', async () => {
      await page.locator('.cost-line button').click();
      const drawer = page.getByRole('complementary', { name: 'API calls' });
      await drawer.getByRole('button', { name: 'With reads' }).click();
      await drawer.locator('.call-line', { hasText: '/timeline' }).first().click();
      await drawer.locator('.call-body pre', { hasText: 'curl -i' }).first().waitFor();
      await drawer.getByRole('button', { name: 'Copy with token' }).first().click();
      const line = await page.evaluate(() => navigator.clipboard.readText());
      holds(/authorization: Bearer ey/.test(line), 'the copied command includes the token');
      await drawer.getByRole('button', { name: 'Close the drawer' }).click();
      await scene(page, 'Usage');
      await page.locator('tbody tr', { hasText: 'session-save' }).waitFor();
    });

    test('dead letters are redriven after a confirmation', async () => {
      const listed = await stack.get('/local/dead-letters');
      const dead = listed.items[0].queue;
      const queueUrl = (await stack.get('/local/config')).environment.OUTBOX_DLQ_URL;
      await stack.post(
        '/local/aws/',
        { QueueUrl: queueUrl, MessageBody: '{"v":0}' },
        { 'x-amz-target': 'AmazonSQS.SendMessage', 'content-type': 'application/x-amz-json-1.0' },
      );
      await scene(page, 'Dead letters');
      const queue = page.getByRole('region', { name: queueUrl.split('/').pop() });
      await queue.getByRole('button', { name: 'Redrive 1' }).click();
      await answer(page, 'Redrive');
      await note(page, '1 redriven');
      await queue.getByText('No dead letters').waitFor();
      holds(dead, 'a dead-letter queue is there');
    });

    test('removing a student hides the class from their list', async () => {
      await scene(page, 'School');
      await page.getByLabel('Person').selectOption({ label: 'Sam Student' });
      await page.getByRole('button', { name: 'Remove' }).click();
      await answer(page, 'Remove');
      await note(page, 'no longer enrolled');
      await as(page, 'Sam');
      await page.locator('.pane-nav').getByRole('link', { name: 'Classes' }).click();
      await page.getByText('No upcoming classes').waitFor();
      await scene(page, 'School');
      await page.getByLabel('Person').selectOption({ label: 'Sam Student' });
      await page.getByRole('button', { name: 'Enrol', exact: true }).click();
      await note(page, 'Sam Student is enrolled');
    });

    test('disconnecting asks for confirmation and offers to connect again', async () => {
      await as(page, 'Tara');
      await page.locator('.pane-nav').getByRole('link', { name: 'Classes' }).click();
      await page.getByRole('button', { name: 'Disconnect' }).click();
      await answer(page, 'Stay connected');
      await page.getByText('Zoom connected').waitFor();
      await page.getByRole('button', { name: 'Disconnect' }).click();
      await answer(page, 'Disconnect');
      await page.getByText('Connect your Zoom account').waitFor();
      await consent(page);
      await page.getByText('Zoom connected').waitFor();
    });

    arrivals(world);
    plan(world);
    hosting(world);
    platform(world);
    tools(world);

    test('keyboard: skip link, menu, and focus return', async () => {
      const first = page.locator('a[href], button').first();
      equal(await first.textContent(), 'Skip to content');
      await first.focus();
      await page.keyboard.press('Enter');
      equal(await page.evaluate(() => document.activeElement.id), 'main');
      const more = card(page, TITLES.guests).getByRole('button', { name: /^More for/ });
      await more.focus();
      await page.keyboard.press('Enter');
      await eventually(
        () => page.evaluate(() => document.activeElement.getAttribute('role') === 'menuitem'),
        'the menu takes the focus',
      );
      await page.keyboard.press('Escape');
      equal(await more.evaluate((button) => button === document.activeElement), true, 'the focus is back');
    });

    test('the page was never reloaded', async () => {
      equal(await page.evaluate(() => globalThis.neverReloaded), true);
    });

    test('no page logged an error', async () => {
      equal(wrong.join('\n'), '');
    });
  };
  return world;
}
