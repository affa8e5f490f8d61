// Payments: a place in a course, and classes that the platform sells one by one.
import { html, useState } from '../ui.js';
import { click } from '../cost.js';
import { useLoad } from '../load.js';
import { ask } from '../notes.js';
import { store, useStore } from '../store.js';
import { HERE } from '../time.js';
import { Badge, Button, Empty, Loaded, Note, ProblemNote } from '../parts/basic.js';
import { Select, Text } from '../parts/form.js';
import { backEnd, daysAhead, options, startOf, useSchool } from './school.js';

/** @type {(id: string) => `/v1/payments/${string}`} */
const path = (id) => `/v1/payments/${encodeURIComponent(id)}`;

/** The payments of this visit. The platform knows its payments, so the API has no list of them. */
const paid = store([]);

const STATES = {
  pending: ['info', 'Pending'],
  done: ['good', 'Done'],
  refunding: ['info', 'Refunding'],
  refunded: ['quiet', 'Refunded'],
};

export function Payments() {
  const school = useSchool();
  const ids = useStore(paid);
  return html`<${Note} icon="key" title="A payment is carried out once"><p>Repeating it changes nothing.${' '}
      A refund withdraws the place, and cancels the classes that were made for this student alone.</p><//>
    <${Loaded} of=${school} lines=${1}>${(of) => html`<${Pay} of=${of} />`}<//>
    ${
      ids.length
        ? html`<ul class="card people hosts" aria-label="Payments">
          ${ids.map((id) => html`<${Payment} key=${id} id=${id} />`)}</ul>`
        : html`<${Empty} icon="key" title="No payments yet">Payments of this visit appear here.<//>`
    }`;
}

function Pay({ of }) {
  const [draft, setDraft] = useState({
    id: 'payment-1',
    student: of.students.at(-1)?.id,
    course: of.courses[0]?.id || '',
    trainer: '',
    title: 'Trial lesson',
    ...daysAhead(3),
  });
  const [problem, setProblem] = useState(null);
  const set = (field) => (value) => setDraft((held) => ({ ...held, [field]: value }));
  const errors = Object.fromEntries(
    (problem?.errors || []).map((error) => [error.field.replace(/^sessions\[0\]\./, ''), error.message]),
  );
  const pay = async (event) => {
    event.preventDefault();
    setProblem(null);
    /** @type {import('../api-types.js').Schemas['PaymentRequest']['sessions'][0]} */
    const lesson = {
      trainer_id: draft.trainer,
      title: draft.title,
      audience_type: 'invitees',
      invitees: [{ user_id: draft.student }],
      starts_at: startOf(draft),
      timezone: HERE,
      duration_minutes: 30,
    };
    /** @type {import('../api-types.js').Schemas['PaymentRequest']} */
    const body = {
      user_id: draft.student,
      ...(draft.course && { course_id: draft.course }),
      ...(draft.trainer && { sessions: [lesson] }),
    };
    try {
      await click('Pay', () => backEnd.put(path(draft.id), body), { quiet: true, done: 'Paid.' });
      paid.set((held) => [draft.id, ...held.filter((id) => id !== draft.id)]);
    } catch (refused) {
      setProblem(refused);
    }
  };
  return html`<form class="card form-card" onSubmit=${pay} aria-label="Pay">
    <h3>Somebody pays</h3><${ProblemNote} of=${problem} />
    <div class="row"><${Text} label="Payment" value=${draft.id} onInput=${set('id')} required />
      <${Select} label="Student" value=${draft.student} onChange=${set('student')}
        options=${options(of.students)} error=${errors.user_id} /></div>
    <div class="row"><${Select} label="Place in a course" value=${draft.course} onChange=${set('course')}
        options=${[['', 'None'], ...options(of.courses)]} error=${errors.course_id} />
      <${Select} label="A class with" value=${draft.trainer} onChange=${set('trainer')}
        options=${[['', 'Nobody'], ...options(of.trainers)]} error=${errors.trainer_id} /></div>
    ${
      draft.trainer &&
      html`<div class="row"><${Text} label="Title" value=${draft.title} onInput=${set('title')}
        error=${errors.title} required />
      <${Text} label="Day" type="date" value=${draft.day} onInput=${set('day')}
        error=${errors.starts_at} required />
      <${Text} label="Time" type="time" value=${draft.time} onInput=${set('time')} required /></div>`
    }
    <footer class="form-foot"><${Button} type="submit" kind="primary">Pay<//></footer></form>`;
}

function progress({ total, created, failed }) {
  if (!total) return 'No classes';
  const refused = failed ? `, ${failed} refused` : '';
  return `${created} of ${total} classes made${refused}`;
}

function Payment({ id }) {
  const read = useLoad(`payment ${id}`, () => backEnd.get(path(id)), { every: 3000 });
  const refund = async () => {
    const sure = await ask({
      title: `Refund ${id}?`,
      text: 'The place is withdrawn, and the student’s own classes are cancelled.',
      yes: 'Refund',
      no: 'Keep',
    });
    if (sure) await click('Refund', () => backEnd.delete(path(id)), { done: `${id} is refunded.` });
  };
  return html`<${Loaded} of=${read} lines=${1} height=${40}>${(of) => {
    const [tone, word] = STATES[of.state] || ['quiet', of.state];
    return html`<li><div class="host"><p><strong>${id}</strong> <${Badge} tone=${tone}>${word}<//></p>
        <p class="fine">${progress(of)}</p></div>
      ${
        !of.state.startsWith('refund') &&
        html`<div class="acts"><${Button} small kind="danger-quiet" label=${`Refund ${id}`}
          onClick=${refund}>Refund<//></div>`
      }</li>`;
  }}<//>`;
}
