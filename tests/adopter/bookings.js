// A booking engine's back end. Its requests fail at every step, it repeats them, and each booking is one class with one
// meeting.
import assert from 'node:assert/strict';
import { trainer } from './directory.js';
import { eventually, repeated } from './stack.js';

const HOUR_MS = 3_600_000;

/** A class in the platform's own Zoom account, so that no trainer has to connect. */
function booking(n, patch = {}) {
  return {
    trainer_id: trainer(1),
    title: `Lesson ${n}`,
    audience_type: 'course',
    course_id: 'course:1',
    starts_at: new Date(Math.ceil(Date.now() / HOUR_MS) * HOUR_MS + (30 + 2 * n) * HOUR_MS).toISOString(),
    timezone: 'Europe/Berlin',
    duration_minutes: 60,
    meeting: 'now',
    ...patch,
  };
}

/** Lets one request fail after it was carried out, or before. */
const fault = (stack, service, operation, kind, rest = {}) =>
  stack.local('POST', '/local/faults', { service, operation, kind, ...rest });

/** The faults that the next request to book meets. The connection that breaks after the work is the worst of them. */
const FAULTS = [
  ['zoom', 'create_meeting', 'lost'],
  ['zoom', 'create_meeting', 'error'],
  ['dynamodb', 'TransactWriteItems', 'lost'],
  ['dynamodb', 'TransactWriteItems', 'error', { after: 1, times: 5 }],
];

async function book({ stack, issuer }) {
  const token = issuer.token('back-end', 'service');
  await stack.call(token, 'PUT', `/v1/hosts/${trainer(1)}`, {
    body: { email: 'trainer1@example.test', create: 'auto', licence: 'permanent' },
  });
  await stack.local('POST', '/local/schedules/meeting-sweep/run');
  const host = await stack.call(token, 'GET', `/v1/hosts/${trainer(1)}`);
  assert.equal(host.state, 'active', JSON.stringify(host));
  for (const [n, [service, operation, kind, rest]] of FAULTS.entries()) {
    await fault(stack, service, operation, kind, rest);
    const path = `/v1/sessions/by-ref/booking-${n}`;
    const put = () => stack.call(token, 'PUT', path, { body: booking(n) });
    const { body: made, sent } = await repeated(put);
    await stack.local('DELETE', '/local/faults');
    const again = await put();
    assert.equal(again.id, made.id);
    assert.equal(again.version, 1, 'an equal body changes nothing');
    assert.ok(made.meeting.id, `${kind} of ${operation}: the class has its meeting`);
    console.log(`    ${service} ${operation} ${kind}: booked with ${sent} request(s)`);
  }
  // A reschedule meets a fault, too.
  await fault(stack, 'zoom', 'update_meeting', 'lost');
  const moved = booking(0, { starts_at: booking(20).starts_at });
  await repeated(() => stack.call(token, 'PUT', '/v1/sessions/by-ref/booking-0', { body: moved }));
  const shown = await stack.call(token, 'GET', '/v1/sessions/by-ref/booking-0');
  assert.equal(Date.parse(shown.starts_at), Date.parse(moved.starts_at));
  await repeated(() => stack.call(token, 'DELETE', '/v1/sessions/by-ref/booking-3'));

  // What failed at Zoom is repaired by the sweeps, so that each booking has one meeting.
  await stack.local('POST', '/local/clock', { advance: '20m' });
  await stack.local('POST', '/local/schedules/reminder-sweep/run');
  const { items } = await stack.call(token, 'GET', `/v1/sessions?trainer_id=${trainer(1)}&status=scheduled`);
  assert.equal(items.length, FAULTS.length - 1);
  const { items: all } = await stack.local('GET', '/zoom/sim/meetings');
  const meetings = all.filter(({ status }) => status !== 'deleted').map(({ id }) => String(id));
  assert.deepEqual(meetings.sort(), items.map((item) => item.meeting.id).sort());
}

async function pay({ stack, issuer }) {
  const token = issuer.token('back-end', 'service');
  const body = { user_id: 'student-1400', course_id: 'course:2' };
  await fault(stack, 'dynamodb', 'TransactWriteItems', 'lost', { function: 'payments' });
  const path = '/v1/payments/order:1';
  await repeated(() => stack.call(token, 'PUT', path, { body }));
  await stack.local('DELETE', '/local/faults');
  const payment = async () => stack.call(token, 'GET', path);
  const paid = await eventually(async () => {
    const shown = await payment();
    return shown.state !== 'pending' && shown;
  }, 'the payment is carried out');
  assert.equal(paid.enrollment, 'granted', JSON.stringify(paid));
  await stack.call(token, 'PUT', path, { body });
  const other = { body: { ...body, course_id: 'course:3' } };
  await assert.rejects(stack.call(token, 'PUT', path, other), { status: 422 });
  await repeated(() => stack.call(token, 'DELETE', path));
  await eventually(async () => (await payment()).enrollment === 'withdrawn', 'the place is withdrawn');
}

export async function bookings(context) {
  await book(context);
  await pay(context);
}
