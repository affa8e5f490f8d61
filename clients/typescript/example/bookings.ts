/**
 * A booking engine's three calls: confirm, reschedule and cancel. Each is safe to repeat, so the engine stores nothing
 * beside the booking. `node build/example/bookings.js` plays a booking against `cargo local`.
 */
import { answer, type LiveClasses } from '../src/index.js';
import { repeated } from './repeated.js';
import { as, expect, local, look, play } from './stack.js';

/** A booking as the engine stores it. */
export interface Booking {
  id: string;
  trainerId: string;
  title: string;
  startsAt: Date;
  minutes: number;
  /** Users of the platform by id, and other people by address. */
  guests: ({ user_id: string } | { email: string; name?: string })[];
}

/** The class of a booking is found by the booking's id. */
const params = (booking: Pick<Booking, 'id'>) => ({ path: { external_ref: `booking-${booking.id}` } });

/**
 * Confirms a booking or reschedules it: the class gets the present values of the booking. The fields that the body
 * omits, such as the recording, follow from the trainer's defaults in the directory.
 */
export function save(api: LiveClasses, booking: Booking) {
  const body = {
    trainer_id: booking.trainerId,
    title: booking.title,
    audience_type: 'invitees' as const,
    invitees: booking.guests,
    starts_at: booking.startsAt.toISOString(),
    duration_minutes: booking.minutes,
  };
  return repeated(() => answer(api.PUT('/v1/sessions/by-ref/{external_ref}', { params: params(booking), body })));
}

/** Cancels a booking. A booking that was cancelled before stays as it is. */
export function cancel(api: LiveClasses, booking: Pick<Booking, 'id'>) {
  return repeated(() => answer(api.DELETE('/v1/sessions/by-ref/{external_ref}', { params: params(booking) })));
}

const GUEST = 'gil@example.test';

/** Delivers the mails that are due. The stack's queue may miss a message in one run. */
async function deliver() {
  for (let run = 0; run < 3; run += 1) await local('/local/schedules/outbox-sweep/run');
}

/** The kinds of the mails that an address got, in order. */
async function mails(address: string): Promise<string[]> {
  const { items } = await look('/local/mail');
  const own = items.filter((mail: any) => JSON.stringify(mail.to).includes(address));
  return own.sort((a: any, b: any) => a.sent_at.localeCompare(b.sent_at)).map((mail: any) => mail.kind);
}

await play(async () => {
  const service = as({ sub: 'booking-engine', role: 'service' });
  // The platform's own Zoom account hosts the classes of this trainer, so that nobody has to log in at Zoom.
  await answer(
    service.PUT('/v1/hosts/{trainer_id}', {
      params: { path: { trainer_id: 'trainer-2' } },
      body: { email: 'tom@example.test', create: 'auto', licence: 'permanent' },
    }),
  );
  await local('/local/schedules/meeting-sweep/run');
  await answer(
    service.PUT('/v1/directory/users/{id}', {
      params: { path: { id: 'trainer-2' } },
      body: {
        email: 'trainer2@example.test',
        name: 'Tom',
        role: 'trainer',
        plan: 'pro',
        hosting: 'platform',
        defaults: { settings: { waiting_room: true } },
      },
    }),
  );
  const before = new Set((await look('/zoom/sim/meetings')).items.map((meeting: any) => meeting.id));
  const booking: Booking = {
    id: crypto.randomUUID(),
    trainerId: 'trainer-2',
    title: 'Piano',
    startsAt: new Date(Date.now() + 2 * 86_400_000),
    minutes: 45,
    guests: [{ user_id: 'student-9' }, { email: GUEST, name: 'Gil' }],
  };
  const made = await save(service, booking);
  const twice = await save(service, booking);
  expect('Confirmed twice, classes', new Set([made.id, twice.id]).size, 1);
  expect('Version after both', twice.version, made.version);
  await deliver();

  const moved = await save(service, { ...booking, startsAt: new Date(Date.now() + 3 * 86_400_000) });
  expect('Rescheduled, the same class', moved.id === made.id, true);
  await deliver();

  await cancel(service, booking);
  const cancelled = await cancel(service, booking);
  expect('The class is', cancelled.status, 'cancelled');
  await deliver();

  const { items } = await look('/zoom/sim/meetings');
  const meetings = items.filter((meeting: any) => !before.has(meeting.id));
  const bodies = meetings.flatMap((meeting: any) => meeting.requests);
  expect('Meetings at Zoom', meetings.length, 1);
  expect('Creates and changes at Zoom', bodies.length, 2);
  expect('The meeting is', meetings[0].status, 'deleted');
  expect('Mails to the guest', await mails(GUEST), ['scheduled', 'updated', 'cancelled']);
});
