// A class that is live in the platform's own Zoom account, so that people join with Zoom's client in the page.
import { client } from '../lib/stack.js';

const AHEAD_MS = 5 * 60_000;
export const TITLE = 'Fractions and decimals';
const TRAINER = { sub: 'trainer-1', role: 'trainer', email: 'trainer@example.test', name: 'Tara Trainer' };
const PLATFORM = { sub: 'platform', role: 'service', email: 'platform@example.test', name: 'Platform' };

/** Makes the class. Returns calls that act in it. */
export async function scene(base) {
  const stack = client(base);
  const trainer = await stack.bearer(TRAINER);
  const platform = await stack.bearer(PLATFORM);
  const host = { email: TRAINER.email, create: 'auto', licence: 'permanent' };
  await stack.put('/v1/hosts/trainer-1', host, platform);
  await stack.post('/local/schedules/meeting-sweep/run', {});
  const { now } = await stack.get('/local/clock');
  const session = await stack.post(
    '/v1/sessions',
    {
      title: TITLE,
      audience_type: 'course',
      course_id: 'course-1',
      starts_at: new Date(new Date(now).getTime() + AHEAD_MS).toISOString(),
      timezone: 'Europe/Berlin',
      duration_minutes: 60,
    },
    { ...trainer, 'idempotency-key': 'the-class' },
  );
  const room = `/v1/sessions/${session.id}`;
  return {
    stack,
    id: session.id,
    start: () => stack.post(`/zoom/sim/meetings/${session.meeting.id}/start`, { name: TRAINER.name }),
    end: () => stack.post(`/zoom/sim/meetings/${session.meeting.id}/end`, {}),
    session: () => stack.get(room, trainer),
    launch: (question) => stack.post(`${room}/polls`, { question, options: ['One half', 'One third'] }, trainer),
    close: (poll) => stack.post(`${room}/polls/${poll.id}/close`, undefined, trainer),
  };
}
