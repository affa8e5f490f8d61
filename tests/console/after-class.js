// The page after class: attendance with changes, recording, polls and timeline.
import { inspect } from './lib/look.js';
import { as, scene, card, note, answer } from './lib/people.js';
import { test, equal, holds } from './lib/runner.js';
import { TITLES } from './walk.js';

/** When the class has ended. */
export function afterClass(world) {
  const { page } = world;

  test('attendance can be read, overridden with a reason, and downloaded as CSV', async () => {
    await as(page, 'Tara');
    await page.getByRole('button', { name: 'Past and cancelled' }).click();
    await card(page, TITLES.course)
      .getByRole('link', { name: /^After class/ })
      .click();
    const row = (name) => page.locator('.attendance tbody tr', { hasText: name });
    const present = (name) => page.getByRole('switch', { name: `Present: ${name}` });
    const changes = page.getByRole('form', { name: 'Unsaved changes' });
    await row('Student 1').getByText('Present').waitFor();
    await row('Student 2').getByText('Absent').waitFor();
    await row('iPhone').getByText('Needs review').waitFor();
    // Several at once, without a reason.
    await present('Student 2').check();
    await present('Student 4').check();
    await page.getByRole('button', { name: 'Excuse Student 5' }).click();
    await changes.getByText('3 changes').waitFor();
    await inspect(world, page, 'trainer-changes');
    await page.getByRole('button', { name: 'Undo Student 4' }).click();
    await changes.getByRole('button', { name: 'Save' }).click();
    await note(page, '2 changes saved');
    await row('Student 2').getByText('by hand').waitFor();
    await row('Student 5').getByText('Excused').waitFor();
    equal(await present('Student 4').isChecked(), false, 'the change that was undone');
    // With a reason, all of them in one request.
    await page.getByRole('button', { name: 'By the minutes Student 5' }).click();
    await present('Student 4').check();
    await changes.getByLabel('Reason').fill('Took part by telephone.');
    const [request] = await Promise.all([
      page.waitForRequest((request) => request.method() === 'PUT' && request.url().endsWith('/attendance')),
      changes.getByRole('button', { name: 'Save' }).click(),
    ]);
    equal(request.postDataJSON().rows.length, 2, 'rows in the request');
    await row('Student 5').getByText('Excused').waitFor({ state: 'detached' });
    await row('Student 4').getByText('by hand').waitFor();
    await page.getByRole('button', { name: 'By the minutes Student 4' }).click();
    await changes.getByRole('button', { name: 'Save' }).click();
    await note(page, '1 change saved');
    // An assignment needs a reason.
    await page.getByRole('button', { name: 'Assign… iPhone' }).click();
    await page.getByRole('dialog').getByLabel('Assign to').selectOption({ label: 'Student 3' });
    await answer(page, 'Save');
    await page.getByText('Enter a reason').waitFor();
    await inspect(world, page, 'trainer-assign');
    await page.getByRole('dialog').getByLabel('Reason').fill('On her brother’s phone.');
    await answer(page, 'Save');
    await row('iPhone').waitFor({ state: 'detached' });
    await row('Student 3').getByText('Assigned by hand').waitFor();
    await page.getByText('Changes (6)').click();
    await page.getByText('Took part by telephone.').first().waitFor();
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Attendance as CSV' }).click(),
    ]);
    const text = await new Promise((resolve, reject) => {
      let read = '';
      file.createReadStream().then(
        (stream) =>
          stream
            .setEncoding('utf8')
            .on('data', (part) => {
              read += part;
            })
            .on('end', () => resolve(read))
            .on('error', reject),
        reject,
      );
    });
    holds(text.startsWith('\uFEFFattendee_id,user_id,name'), 'the CSV begins with a byte order mark and its head');
    holds(text.includes('student-2'), 'the CSV has a row for each person');
  });

  test('trainer and student can open a recording', async () => {
    await scene(page, 'In the meeting');
    await page.locator('.mails a', { hasText: TITLES.course }).click();
    await page.getByRole('button', { name: 'Recording is ready' }).click();
    await note(page, 'Zoom reported the recording');
    await as(page, 'Tara');
    await page.getByRole('link', { name: 'Watch recording' }).first().waitFor();
    await page.locator('.pane-nav').getByRole('link', { name: 'Classes' }).click();
    await page.getByRole('button', { name: 'Past and cancelled' }).click();
    await card(page, TITLES.course)
      .getByRole('link', { name: /^Watch recording/ })
      .click();
    await page.getByRole('link', { name: 'Watch recording', exact: true }).first().waitFor();
    await as(page, 'Sam');
    await page.getByRole('button', { name: 'Past and cancelled' }).click();
    await card(page, TITLES.course)
      .getByRole('link', { name: /^Watch recording/ })
      .waitFor();
    equal(await page.getByRole('link', { name: /^Watch recording/ }).count(), 1, 'classes with a recording');
    await card(page, TITLES.course)
      .getByRole('link', { name: /^Watch recording/ })
      .click();
    const watch = page.getByRole('link', { name: 'Watch recording', exact: true }).first();
    holds(/^https:\/\//.test(await watch.getAttribute('href')), 'it leads to Zoom');
    await page.getByRole('button', { name: 'Show', exact: true }).first().click();
    holds(
      !(await page.locator('.passcode code').first().textContent()).includes('•'),
      'the passcode is shown when asked for',
    );
  });

  test('the timeline shows join attempts and Zoom events', async () => {
    await as(page, 'Tara');
    await page.getByRole('link', { name: 'Timeline' }).click();
    for (const words of [
      'Tara Trainer clicked Start',
      'Sam Student clicked Join',
      'The meeting started',
      'The meeting ended',
      'The recording is ready',
    ]) {
      await page.locator('.timeline', { hasText: words }).waitFor();
    }
  });
}
