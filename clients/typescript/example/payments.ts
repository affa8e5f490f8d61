/**
 * The handler of a payment provider's webhook. A payment brings a place in a course and classes, and a refund takes
 * them back. The provider may deliver an event twice, late, or in another order. `node build/example/payments.js` plays
 * a payment and its refund against `cargo local`.
 */
import { answer, ProblemError, type LiveClasses } from '../src/index.js';
import { repeated } from './repeated.js';
import { as, expect, local, play } from './stack.js';

declare const console: { error(text: unknown): void };

/** An event of the provider. Yours has another shape, and the same three facts: payment, buyer, goods. */
export interface PaymentEvent {
  type: 'payment.succeeded' | 'payment.refunded';
  payment_id: string;
  user_id: string;
  course_id?: string;
  /** The lessons that were bought. */
  lessons: { trainer_id: string; title: string; starts_at: string; minutes: number }[];
}

/** The provider signs the body with a secret that both sides have. */
const SIGNATURE = 'x-signature';

async function key(secret: string) {
  const bytes = new TextEncoder().encode(secret);
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']);
}

const hex = (bytes: ArrayBuffer) =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
const fromHex = (text: string) => Uint8Array.from(text.match(/[0-9a-f]{2}/g) ?? [], (pair) => parseInt(pair, 16));

/** Returns whether the provider has signed these bytes. `verify` compares in constant time. */
async function isSigned(body: Uint8Array<ArrayBuffer>, signature: string, secret: string): Promise<boolean> {
  return crypto.subtle.verify('HMAC', await key(secret), fromHex(signature), body);
}

/**
 * Answers a request of the provider, in any runtime that has the Fetch API's types. The provider repeats an event after
 * a 5xx, so the handler answers 200 only when the service has accepted it.
 */
export async function onPaymentEvent(request: Request, api: LiveClasses, secret: string): Promise<Response> {
  const body = new Uint8Array(await request.arrayBuffer());
  if (!(await isSigned(body, request.headers.get(SIGNATURE) ?? '', secret))) return new Response(null, { status: 401 });
  const event: PaymentEvent = JSON.parse(new TextDecoder().decode(body));
  try {
    await apply(api, event);
    return new Response(null, { status: 200 });
  } catch (error) {
    // A refused event is refused again. Somebody has to look at it, so it must not be repeated for days.
    const isRefused = error instanceof ProblemError && error.status < 500 && error.status !== 429;
    if (!isRefused) return new Response(null, { status: 503 });
    report(event, error);
    return new Response(null, { status: 200 });
  }
}

/** Replace it by your own alarm. */
function report(event: PaymentEvent, error: ProblemError) {
  console.error(`Payment ${event.payment_id} was refused: ${error.code}. ${error.message}`);
}

/**
 * Sends the event to the service. Equal requests with one id count once, and a refund counts also before its payment.
 */
async function apply(api: LiveClasses, event: PaymentEvent) {
  const params = { path: { payment_id: event.payment_id } };
  if (event.type === 'payment.refunded') {
    await repeated(() => answer(api.DELETE('/v1/payments/{payment_id}', { params })));
    return;
  }
  const sessions = event.lessons.map((lesson) => ({
    trainer_id: lesson.trainer_id,
    title: lesson.title,
    audience_type: 'invitees' as const,
    invitees: [{ user_id: event.user_id }],
    starts_at: lesson.starts_at,
    duration_minutes: lesson.minutes,
  }));
  const body = { user_id: event.user_id, ...(event.course_id && { course_id: event.course_id }), sessions };
  await repeated(() => answer(api.PUT('/v1/payments/{payment_id}', { params, body })));
}

await play(async () => {
  const service = as({ sub: 'shop', role: 'service' });
  const secret = 'a secret of shop and provider';
  await answer(
    service.PUT('/v1/hosts/{trainer_id}', {
      params: { path: { trainer_id: 'trainer-2' } },
      body: { email: 'tom@example.test', create: 'auto', licence: 'permanent' },
    }),
  );
  await local('/local/schedules/meeting-sweep/run');
  const lesson = (days: number) => ({
    trainer_id: 'trainer-2',
    title: 'Violin',
    minutes: 45,
    starts_at: new Date(Date.now() + days * 86_400_000).toISOString(),
  });
  const event: PaymentEvent = {
    type: 'payment.succeeded',
    payment_id: `pay-${crypto.randomUUID()}`,
    user_id: 'student-9',
    course_id: 'course-1',
    lessons: [lesson(10), lesson(17)],
  };
  const deliver = async (of: PaymentEvent, signedWith = secret) => {
    const body = new TextEncoder().encode(JSON.stringify(of));
    const signature = hex(await crypto.subtle.sign('HMAC', await key(signedWith), body));
    const init = { method: 'POST', body, headers: { [SIGNATURE]: signature } };
    return (await onPaymentEvent(new Request('https://shop.example/payments', init), service, secret)).status;
  };
  const params = { path: { payment_id: event.payment_id } };
  // The queue carries a payment out at once. The sweep finishes it if that fails.
  const inState = async (state: string) => {
    for (let look = 0; look < 20; look += 1) {
      const payment = await answer(service.GET('/v1/payments/{payment_id}', { params }));
      if (payment.state === state) return payment;
      await new Promise((resolve) => setTimeout(resolve, 500));
      await local('/local/schedules/meeting-sweep/run');
    }
    throw new Error(`The payment does not become ${state}.`);
  };
  expect('An event of somebody else', await deliver(event, 'a guess'), 401);
  expect('The payment', await deliver(event), 200);
  expect('The same payment again', await deliver(event), 200);
  const paid = await inState('done');
  expect('Classes of the payment', `${paid.created} of ${paid.total}`, '2 of 2');
  expect('The refund', await deliver({ ...event, type: 'payment.refunded' }), 200);
  expect('The same refund again', await deliver({ ...event, type: 'payment.refunded' }), 200);
  await inState('refunded');
  for (const id of paid.session_ids) {
    const session = await answer(service.GET('/v1/sessions/{id}', { params: { path: { id } } }));
    expect('A class of the payment is', session.status, 'cancelled');
  }
});
