/**
 * Plays one class against `cargo local` with the calls of a trainer's page, a student's page and the platform's back
 * end. Ends with an error at the first unexpected response.
 */
import { answer, idempotencyKey, ProblemError, type Schemas } from '../src/index.js';
import { as, base, local, play, print } from './stack.js';

const trainer = as({ sub: 'trainer-1', role: 'trainer', email: 'trainer@example.test', name: 'Tara' });
const student = as({ sub: 'student-1', role: 'student', email: 'student1@example.test', name: 'Sam' });
const platform = as({ sub: 'platform', role: 'service' });

/** Returns the problem with which a call ends. */
async function refusal(call: Promise<unknown>): Promise<ProblemError> {
  const error = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (error instanceof ProblemError) return error;
  throw error ?? new Error('The call was not refused.');
}

async function directory() {
  await answer(
    platform.PUT('/v1/directory/courses/{id}', {
      params: { path: { id: 'course-2' } },
      body: { title: 'Geometry', trainer_id: 'trainer-1' },
    }),
  );
  await answer(
    platform.PUT('/v1/directory/courses/{id}/enrollments/{user_id}', {
      params: { path: { id: 'course-2', user_id: 'student-1' } },
      body: { email: 'student1@example.test', name: 'Sam Student' },
    }),
  );
  let lines = [
    '{"type":"user","id":"trainer-1","email":"trainer@example.test","name":"Tara","role":"trainer","plan":"pro"}',
  ];
  let accepted = 0;
  let rejected = 0;
  // A long import stops in time and names the line to continue from.
  while (lines.length > 0) {
    const outcome = await answer(
      platform.POST('/v1/directory/import', {
        body: lines.join('\n'),
        bodySerializer: (text) => text,
        headers: { 'content-type': 'application/x-ndjson' },
      }),
    );
    accepted += outcome.accepted;
    rejected += outcome.rejected_count;
    lines = outcome.next_line === null ? [] : lines.slice(outcome.next_line - 1);
  }
  print('Imported lines', `${accepted}, rejected: ${rejected}`);
}

async function connect() {
  const begun = await answer(trainer.POST('/v1/zoom/authorize', { body: { redirect_uri: `${base}/callback` } }));
  // In a browser, the consent page redirects to this address with a code and the state.
  const page = await fetch(begun.authorize_url, {
    method: 'POST',
    redirect: 'manual',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'decision=allow&account=app',
  });
  const back = new URL(page.headers.get('location') ?? '').searchParams;
  const connection = await answer(
    trainer.POST('/v1/zoom/connect', {
      body: { code: back.get('code') ?? '', state: back.get('state') ?? '' },
    }),
  );
  print('Zoom is', connection.status);
}

async function schedule(): Promise<Schemas['OwnerSession']> {
  const start = new Date(Date.now() + 5 * 60_000).toISOString();
  const body: Schemas['CreateSession'] = {
    title: 'Triangles',
    audience_type: 'course',
    course_id: 'course-2',
    starts_at: start,
    timezone: 'Europe/Berlin',
    duration_minutes: 60,
  };
  const key = { header: { 'Idempotency-Key': idempotencyKey() } };
  const made = await answer(trainer.POST('/v1/sessions', { params: key, body }));
  const twice = await answer(trainer.POST('/v1/sessions', { params: key, body }));
  print('A repeated request returns', twice.id === made.id ? 'the same class' : 'another class, which is wrong');
  const wrong = await refusal(answer(trainer.POST('/v1/sessions', { body: { ...body, duration_minutes: 5 } })));
  print('A class of five minutes', `${wrong.code}: ${wrong.of('duration_minutes')}`);

  const edited = await answer(
    trainer.PUT('/v1/sessions/{id}', {
      params: { path: { id: made.id }, header: { 'If-Match': `"${made.version}"` } },
      body: { ...body, title: 'Triangles and circles' },
    }),
  );
  const stale = await refusal(
    answer(
      trainer.PUT('/v1/sessions/{id}', {
        params: { path: { id: made.id }, header: { 'If-Match': `"${made.version}"` } },
        body,
      }),
    ),
  );
  print('An edit of an old version', stale.code);
  const again = await answer(
    trainer.POST('/v1/sessions/{id}/resend-invite', {
      params: { path: { id: made.id } },
      body: { recipients: ['student-1'] },
    }),
  );
  print('Invited again', again.queued);
  const list = await answer(trainer.GET('/v1/sessions', { params: { query: { status: 'scheduled', limit: 50 } } }));
  print(
    "The trainer's list contains it",
    list.items.some((session) => session.id === edited.id),
  );
  return edited;
}

async function teach(session: Schemas['OwnerSession']) {
  const path = { id: session.id };
  const mine = await answer(student.GET('/v1/me/sessions'));
  print('The student sees', mine.items.map((item) => `${item.title} (${item.join.state})`).join(', '));
  const host = await answer(trainer.POST('/v1/sessions/{id}/join', { params: { path } }));
  print('The trainer starts as', host.provider === 'zoom' && host.role === 1 ? 'host, with a ZAK' : 'participant');
  await local(`/zoom/sim/meetings/${session.meeting?.id}/start`);
  const pass = await answer(student.POST('/v1/sessions/{id}/join', { params: { path } }));
  if (pass.provider !== 'zoom') throw new Error('The class is not at Zoom.');
  print('The student joins by', pass.mode);
  await local(`/zoom/sim/meetings/${session.meeting?.id}/join`, { name: 'Sam', customer_key: pass.customer_key });
  const live = await answer(student.GET('/v1/sessions/{id}', { params: { path } }));
  print('The class is', live.status);
  if (live.status === 'live') await ask(path);
}

async function ask(path: { id: string }) {
  const launched = await answer(
    trainer.POST('/v1/sessions/{id}/polls', {
      params: { path },
      body: { question: 'How many degrees has a triangle?', options: ['90', '180', '360'] },
    }),
  );
  const poll = { ...path, poll_id: launched.id };
  const right = launched.options[1];
  if (!right) throw new Error('The poll has fewer than two options.');
  await answer(
    student.PUT('/v1/sessions/{id}/polls/{poll_id}/vote', {
      params: { path: poll },
      body: { option_ids: [right.id] },
    }),
  );
  const closed = await answer(trainer.POST('/v1/sessions/{id}/polls/{poll_id}/close', { params: { path: poll } }));
  print(
    'The poll is',
    `${closed.state}: ${closed.options.map((option) => `${option.text} ${option.votes}`).join(', ')}`,
  );
}

async function afterwards(session: Schemas['OwnerSession']) {
  const path = { id: session.id };
  await local(`/zoom/sim/meetings/${session.meeting?.id}/end`);
  await local(`/zoom/sim/meetings/${session.meeting?.id}/recording`);
  const report = await answer(trainer.GET('/v1/sessions/{id}/attendance', { params: { path } }));
  print('Expected, attendees', `${report.expected}, ${report.attendees.length}`);
  const row = report.attendees[0];
  if (row) {
    const corrected = await answer(
      trainer.PUT('/v1/sessions/{id}/attendance/{attendee_id}', {
        params: { path: { ...path, attendee_id: row.attendee_id } },
        body: { present: true, reason: 'Was in the room.' },
      }),
    );
    print('Corrected by', corrected.present_by);
  }
  const audit = await answer(trainer.GET('/v1/sessions/{id}/attendance/audit', { params: { path } }));
  print('Entries in the audit', audit.items.length);
  const csv = await answer(
    trainer.GET('/v1/sessions/{id}/attendance', {
      params: { path, query: { format: 'csv' } },
      parseAs: 'text',
    }),
  );
  print('Rows of the CSV', csv.split('\r\n').length - 2);
  const recordings = await answer(student.GET('/v1/sessions/{id}/recordings', { params: { path } }));
  print('Recordings', recordings.items.length);
  const timeline = await answer(trainer.GET('/v1/sessions/{id}/timeline', { params: { path } }));
  print(
    'Timeline',
    timeline.items
      .map((entry) => entry.kind)
      .reverse()
      .join(', '),
  );
}

async function notifications() {
  await answer(
    student.PUT('/v1/me/notification-preferences', {
      body: { live_session: { in_app: true, email: false } },
    }),
  );
  const page = await answer(student.GET('/v1/me/notifications', { params: { query: { limit: 10 } } }));
  print('Notifications, unread', `${page.items.length}, ${page.unread_count}`);
  for (const notification of page.items) {
    await answer(student.POST('/v1/me/notifications/{id}/read', { params: { path: { id: notification.id } } }));
  }
}

async function cancel() {
  const made = await answer(
    trainer.POST('/v1/sessions', {
      body: {
        title: 'Geometry, the week after',
        audience_type: 'invitees',
        invitees: [{ email: 'guest@example.test' }],
        starts_at: new Date(Date.now() + 7 * 86_400_000).toISOString(),
        duration_minutes: 45,
      },
    }),
  );
  const cancelled = await answer(
    trainer.POST('/v1/sessions/{id}/cancel', {
      params: { path: { id: made.id } },
      body: { reason: 'The trainer is ill.' },
    }),
  );
  print('Another class is', cancelled.status);
  await answer(trainer.DELETE('/v1/zoom/connection'));
  const connection = await answer(trainer.GET('/v1/zoom/connection'));
  print('Zoom is', connection.status);
}

await play(async () => {
  await directory();
  await connect();
  const session = await schedule();
  await teach(session);
  await afterwards(session);
  await notifications();
  await cancel();
});
