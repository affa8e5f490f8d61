// Classes that people join by a link, from their lists: at Zoom with a password, and by the trainer's own link.
import { open } from './lib/browser.js';
import { card, room } from './lib/people.js';
import { test, equal } from './lib/runner.js';
import { client, connectZoom, stack } from './lib/stack.js';

const TRAINER = { sub: 'trainer-1', role: 'trainer', email: 'trainer@example.test', name: 'Tara Trainer' };
const STUDENT = { sub: 'student-1', role: 'student', email: 'student1@example.test', name: 'Sam Student' };
const AHEAD_MS = 5 * 60_000;
const OWN_LINK = 'https://meet.example.test/office-hour';

/** Opens a link in the list and compares the link and the password with those of the API. */
async function joins(page, link, start, pass) {
  const opened = await room(page, link);
  if (start) await opened.getByRole('button', { name: start }).click();
  const meeting = opened.getByRole('link', { name: 'Open the meeting' });
  equal(await meeting.getAttribute('href'), pass.join_url, 'the link');
  await opened.getByText('Passcode', { exact: false }).waitFor();
  equal((await opened.locator('.passcode code').textContent()).includes(pass.passcode), false, 'shown at once');
  await opened.getByRole('button', { name: 'Show', exact: true }).click();
  equal(await opened.locator('.passcode code').textContent(), pass.passcode, 'the password');
  await opened.close();
}

/** On a stack of its own, in which everybody joins by link. */
export function links(browser) {
  test('the lists lead to the link of a class and its password', async () => {
    const { base, stop } = await stack(undefined, ['--set', 'JOIN_MODE=link']);
    const api = client(base);
    const [trainer, student] = [await api.bearer(TRAINER), await api.bearer(STUDENT)];
    await connectZoom(api, base, trainer);
    const { now } = await api.get('/local/clock');
    const course = {
      audience_type: 'course',
      course_id: 'course-1',
      starts_at: new Date(new Date(now).getTime() + AHEAD_MS).toISOString(),
      timezone: 'UTC',
      duration_minutes: 60,
      allow_overlap: true,
    };
    const zoom = await api.post('/v1/sessions', { ...course, title: 'At Zoom' }, trainer);
    const { allow_overlap: _, ...byLink } = course;
    await api.post('/v1/sessions', { ...byLink, title: 'Own room', provider: 'manual', join_url: OWN_LINK }, trainer);
    await api.post(`/zoom/sim/meetings/${zoom.meeting.id}/start`, { name: TRAINER.name });
    const passOf = (who) => api.post(`/v1/sessions/${zoom.id}/join`, {}, who);

    const { context, wrong } = await open(browser, base);
    await context.route(OWN_LINK, (route) =>
      route.fulfill({ contentType: 'text/html', body: '<h1>The own room</h1>' }),
    );
    const page = await context.newPage();
    await page.goto('/#/sam/classes');
    await joins(page, card(page, 'At Zoom').getByRole('link', { name: /^Join/ }), null, await passOf(student));
    const [own] = await Promise.all([
      context.waitForEvent('page'),
      card(page, 'Own room').getByRole('button', { name: 'Join: Own room' }).click(),
    ]);
    await own.getByRole('heading', { name: 'The own room' }).waitFor();
    equal(own.url(), OWN_LINK, 'the address of the own room');
    await page.goto('/#/tara/classes');
    const start = card(page, 'At Zoom').getByRole('link', { name: /^(Start|Join): At Zoom/ });
    await joins(page, start, 'Start the class', await passOf(trainer));
    equal(wrong.join('\n'), '', 'errors');
    await context.close();
    stop();
  });
}
