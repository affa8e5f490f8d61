// Bookings: classes under the platform's own references. Confirming, moving and cancelling a booking is one call each.
import { html, useState } from '../ui.js';
import { all } from '../api.js';
import { click } from '../cost.js';
import { useLoad } from '../load.js';
import { ask } from '../notes.js';
import { PLATFORM } from '../people.js';
import { HERE, day, hour, stamp } from '../time.js';
import { Badge, Button, Empty, Loaded, Note, ProblemNote, Status } from '../parts/basic.js';
import { Select, Text } from '../parts/form.js';
import { backEnd, daysAhead, options, startOf, useSchool } from './school.js';

/** @type {(ref: string) => `/v1/sessions/by-ref/${string}`} */
const path = (ref) => `/v1/sessions/by-ref/${encodeURIComponent(ref)}`;

const MEETING = {
  pending: ['info', 'Meeting later'],
  ready: ['good', 'Meeting ready'],
  failed: ['bad', 'Meeting failed'],
  none: ['quiet', 'Own link'],
};

/** The choices of `meeting` in a booking. */
const MEETING_TIMES = [
  ['now', 'With the booking'],
  ['later', 'Days before the class'],
];

/**
 * Returns the body that would make a class as it is, for another upsert.
 *
 * @returns {import('../api-types.js').Schemas['UpsertSession']}
 */
function bodyOf(session) {
  const of = session;
  return {
    trainer_id: of.trainer_id,
    title: of.title,
    description: of.description,
    audience_type: of.audience_type,
    ...(of.course_id && { course_id: of.course_id }),
    ...(of.audience_type === 'invitees' && { invitees: of.invitees }),
    starts_at: of.starts_at,
    timezone: of.timezone,
    duration_minutes: of.duration_minutes,
    record_session: of.record_session,
    provider: of.provider,
    ...(of.provider === 'manual' && { join_url: of.meeting.join_url }),
    ...(of.provider === 'zoom' && { settings: of.settings }),
    ...(of.co_trainers.length > 0 && { co_trainers: of.co_trainers }),
  };
}

export function Bookings() {
  const school = useSchool();
  return html`<${Note} icon="calendar" title="One reference, one class">
      <p>A booking engine repeats its call as often as it likes.${' '}
      The difference to the class decides who hears of it.</p><//>
    <${Loaded} of=${school} lines=${1}>${(of) => html`<${Confirm} of=${of} /><${List} of=${of} />`}<//>`;
}

function Confirm({ of }) {
  const [draft, setDraft] = useState({
    ref: 'booking-1',
    trainer: of.trainers[0]?.id,
    student: of.students[0]?.id,
    title: 'Private lesson',
    meeting: 'now',
    ...daysAhead(2),
  });
  const [problem, setProblem] = useState(null);
  const set = (field) => (value) => setDraft((held) => ({ ...held, [field]: value }));
  const errors = Object.fromEntries((problem?.errors || []).map((error) => [error.field, error.message]));
  const confirm = async (event) => {
    event.preventDefault();
    setProblem(null);
    /** @type {import('../api-types.js').Schemas['UpsertSession']} */
    const body = {
      trainer_id: draft.trainer,
      title: draft.title,
      audience_type: 'invitees',
      invitees: [{ user_id: draft.student }],
      starts_at: startOf(draft),
      timezone: HERE,
      duration_minutes: 60,
      meeting: /** @type {'now' | 'later'} */ (draft.meeting),
    };
    try {
      await click('Confirm a booking', () => backEnd.put(path(draft.ref), body), { quiet: true, done: 'Confirmed.' });
    } catch (refused) {
      setProblem(refused);
    }
  };
  return html`<form class="card form-card" onSubmit=${confirm} aria-label="Confirm a booking">
    <h3>Confirm a booking</h3><${ProblemNote} of=${problem} />
    <div class="row"><${Text} label="Reference" value=${draft.ref} onInput=${set('ref')}
        hint="The same reference changes the class." required />
      <${Text} label="Title" value=${draft.title} onInput=${set('title')} error=${errors.title} required /></div>
    <div class="row"><${Select} label="Trainer" value=${draft.trainer} onChange=${set('trainer')}
        options=${options(of.trainers)} error=${errors.trainer_id} />
      <${Select} label="Student" value=${draft.student} onChange=${set('student')}
        options=${options(of.students)} error=${errors['invitees[0].user_id']} /></div>
    <div class="row"><${Text} label="Day" type="date" value=${draft.day} onInput=${set('day')}
        error=${errors.starts_at} required />
      <${Text} label="Time" type="time" value=${draft.time} onInput=${set('time')} required />
      <${Select} label="Zoom meeting" value=${draft.meeting} onChange=${set('meeting')}
        options=${MEETING_TIMES} error=${errors.meeting} /></div>
    <footer class="form-foot"><${Button} type="submit" kind="primary">Confirm booking<//></footer></form>`;
}

function List({ of }) {
  const ids = of.trainers.map((trainer) => trainer.id);
  const list = useLoad('bookings', async () => {
    const lists = await Promise.all(
      ids.map((id) => all(PLATFORM.key, `/v1/sessions?trainer_id=${encodeURIComponent(id)}&limit=100`)),
    );
    return lists
      .flat()
      .filter((session) => session.external_ref)
      .sort((a, b) => a.starts_at.localeCompare(b.starts_at));
  });
  return html`<${Loaded} of=${list} height=${70}>${(classes) =>
    classes.length
      ? html`<ul class="card people hosts" aria-label="Bookings">${classes.map(
          (session) => html`<${Booking} key=${session.id} of=${session} name=${of.name} />`,
        )}</ul>`
      : html`<${Empty} icon="calendar" title="No bookings yet">
          Classes that were made under a reference appear here.<//>`}<//>`;
}

function Booking({ of, name }) {
  const [tone, word] = MEETING[of.meeting_state] || ['quiet', of.meeting_state];
  const ref = of.external_ref;
  const later = async () => {
    const held = await backEnd.get(path(ref));
    const starts_at = new Date(new Date(held.starts_at).getTime() + 86_400_000).toISOString();
    return backEnd.put(path(ref), { ...bodyOf(held), starts_at });
  };
  const move = () => click('Move a booking', later, { done: `${ref} is moved.` });
  const cancel = async () => {
    const sure = await ask({
      title: `Cancel ${ref}?`,
      text: 'Everybody who was invited gets a cancellation. Another booking under this reference makes a new class.',
      yes: 'Cancel booking',
      no: 'Keep booking',
    });
    if (sure) await click('Cancel a booking', () => backEnd.delete(path(ref)), { done: `${ref} is cancelled.` });
  };
  const ahead = of.status === 'scheduled';
  return html`<li><div class="host"><p><strong>${of.title}</strong> <${Status} of=${of.status} />${' '}
        ${ahead && html`<${Badge} tone=${tone}>${word}<//>`}</p>
      <p class="fine"><code>${ref}</code> · ${name(of.trainer_id)} ·${' '}
        ${day(of.starts_at, HERE)}, ${hour(of.starts_at, HERE)}</p>
      ${ahead && of.meeting_at && html`<p class="fine">The meeting is made from ${stamp(of.meeting_at, HERE)} on.</p>`}
      ${of.triggered_by && html`<p class="fine">Paid with <code>${of.triggered_by}</code></p>`}</div>
    ${
      ahead &&
      html`<div class="acts"><${Button} small label=${`Move by a day: ${ref}`} onClick=${move}>Move by a day<//>
      <${Button} small kind="danger-quiet" label=${`Cancel ${ref}`} onClick=${cancel}>Cancel<//></div>`
    }</li>`;
}
