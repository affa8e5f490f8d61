// The steps of scenarios: what trainer, platform and students do, by the API and the simulated Zoom.
import { all, api, call, stack } from '../api.js';
import { PEOPLE, PLATFORM } from '../people.js';
import { stackClockMoved, stackNow } from '../time.js';

const MINUTE_MS = 60_000;
/** Zoom's clients join a few at a time. */
const AT_ONCE = 5;
const COURSE = 'course-1';
/** Inside the join windows of trainers and students, with the default settings. */
const AHEAD_MINUTES = 8;

const trainer = api(PEOPLE.tara.key);
const platform = api(PLATFORM.key);

/** Connects Zoom for the trainer, unless the platform hosts or it is connected. */
export async function connectZoom() {
  const { status } = await trainer.get('/v1/zoom/connection');
  if (status === 'connected' || status === 'platform') return;
  const { authorize_url: consent } = await trainer.post('/v1/zoom/authorize', {
    redirect_uri: `${location.origin}/callback`,
  });
  // Zoom's page leads back to the callback, whose address has the code.
  const { url } = await fetch(consent, { method: 'POST', body: new URLSearchParams({ decision: 'allow' }) });
  const query = new URL(url).searchParams;
  await trainer.post('/v1/zoom/connect', { code: query.get('code'), state: query.get('state') });
}

/** Enrols students, and returns their claims. */
export async function enrol(count) {
  const students = Array.from({ length: count }, (_, n) => ({
    sub: `scenario-${n + 1}`,
    role: 'student',
    email: `scenario${n + 1}@example.test`,
    email_verified: true,
    name: `Learner ${n + 1}`,
  }));
  for (const { sub, email, name } of students)
    await platform.put(`/v1/directory/courses/${COURSE}/enrollments/${sub}`, { email, name });
  return students;
}

/** Schedules a class of the course that can be started at once, and returns it. */
export async function schedule(title) {
  const later = await all(PEOPLE.tara.key, `/v1/sessions?limit=100&status=scheduled`);
  const starts = new Date(Math.ceil(stackNow() / MINUTE_MS) * MINUTE_MS + AHEAD_MINUTES * MINUTE_MS).toISOString();
  const same = later.filter((session) => session.title.startsWith(title)).length;
  return trainer.post(
    '/v1/sessions',
    {
      title: same ? `${title} ${same + 1}` : title,
      audience_type: 'course',
      course_id: COURSE,
      starts_at: starts,
      timezone: 'UTC',
      duration_minutes: 45,
      record_session: true,
      allow_overlap: true,
    },
    { 'idempotency-key': crypto.randomUUID() },
  );
}

export const meetingAct = (session, act, body = {}) =>
  stack.post(`/zoom/sim/meetings/${session.meeting.id}/${act}`, body);
export const deleteMeeting = (session) => stack.delete(`/zoom/sim/meetings/${session.meeting.id}`);

export async function advance(minutes) {
  const { now: at } = await stack.post('/local/clock', { advance: `${minutes}m` });
  stackClockMoved(at);
}

/** Lets students join as Zoom's client does: with the payload that the API hands out. */
export async function join(session, students, onJoined) {
  const one = async (claims) => {
    const { token } = await stack.post('/local/tokens', claims);
    const { data: pass } = await call({
      method: 'POST',
      path: `/v1/sessions/${session.id}/join`,
      body: {},
      headers: { authorization: `Bearer ${token}` },
      background: true,
    });
    await meetingAct(session, 'join', { name: claims.name, customer_key: pass.customer_key });
  };
  for (let n = 0; n < students.length; n += AT_ONCE) {
    const group = students.slice(n, n + AT_ONCE);
    await Promise.all(group.map(one));
    onJoined(n + group.length);
  }
}
