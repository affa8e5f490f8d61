// The attendance report. Presence is changed by switches, several at once, and stored together.
import { html, useState } from '../ui.js';
import { api, csv } from '../api.js';
import { click } from '../cost.js';
import { useLoad } from '../load.js';
import { say } from '../notes.js';
import { counted } from '../plural.js';
import { HERE, hour, stamp } from '../time.js';
import { Badge, Button, Empty, Loaded, Share, saveCsv } from '../parts/basic.js';
import { Dialog } from '../parts/layers.js';
import { Select, Text } from '../parts/form.js';
import { useNames } from './names.js';
import { assign, storeOverrides } from './overrides.js';

const FLAGS = {
  needs_review: ['warn', 'Needs review'],
  assigned: ['info', 'Assigned by hand'],
  left_inferred: ['quiet', 'Leave time inferred'],
  joined_inferred: ['quiet', 'Join time inferred'],
};
const MATCHES = { customer_key: 'by join', registrant: 'by registration', email: 'by e-mail address', none: '' };

export function Attendance({ as, session }) {
  /** @type {`/v1/sessions/${string}/attendance`} */
  const path = `/v1/sessions/${session.id}/attendance`;
  const report = useLoad(`attendance ${session.id}`, () => api(as).get(path));
  const nameOf = useNames(as, session);
  const audit = useLoad(`audit ${session.id}`, () => api(as).get(`${path}/audit`));
  const [choices, setChoices] = useState(/** @type {Record<string, string>} */ ({}));
  const [unknown, setUnknown] = useState(null);
  const download = () =>
    click('Download attendance', async () => {
      saveCsv(`attendance-${session.id}.csv`, await csv(as, path));
    });
  /** @type {(person: {attendee_id: string}, choice: string) => void} */
  const choose = (person, choice) =>
    setChoices(({ [person.attendee_id]: _, ...others }) =>
      choice === stateOf(person) ? others : { ...others, [person.attendee_id]: choice },
    );
  const store = async (reason) => {
    const changed = report.data.attendees.filter((row) => choices[row.attendee_id]);
    const wanted = changed.map((row) => ({ row, choice: choices[row.attendee_id] }));
    const { stored, problem } = await storeOverrides(as, session.id, wanted, reason);
    setChoices((held) => Object.fromEntries(Object.entries(held).filter(([id]) => !stored.includes(id))));
    if (problem) throw problem;
    say(`${counted(stored.length, 'change')} saved.`);
  };
  return html`<${Loaded} of=${report} lines=${4} height=${52}>${(of) => html`
    <${Totals} of=${of} onDownload=${download} />
    ${
      of.attendees.length === 0
        ? html`<${Empty} icon="people" title="Nobody is expected and nobody joined">
          Participants appear here with their minutes.<//>`
        : html`<${People} of=${of.attendees} choices=${choices} onChoose=${choose} onAssign=${setUnknown} />`
    }
    ${
      Object.keys(choices).length > 0 &&
      html`<${Changes} count=${Object.keys(choices).length} onSave=${store} onDiscard=${() => setChoices({})} />`
    }
    ${
      unknown &&
      html`<${Assign} as=${as} session=${session} row=${unknown} all=${of.attendees}
        onClose=${() => setUnknown(null)} />`
    }
    <${Audit} of=${audit} all=${of.attendees} nameOf=${nameOf} />`}<//>`;
}

/** The choice that a row has now. */
function stateOf(person) {
  if (person.present) return 'present';
  return person.status === 'excused' ? 'excused' : 'absent';
}

function Totals({ of, onDownload }) {
  return html`<div class="tiles">
    <div class="tile"><strong>${of.present}<span> of ${of.expected}</span></strong>present</div>
    <div class="tile"><strong>${of.percent_present}<span> %</span></strong>of expected people</div>
    <div class="tile"><strong>${of.held_minutes}<span> of ${of.planned_minutes} min</span></strong>
      held, ${of.counted_minutes} counted</div>
    <${Button} icon="download" onClick=${onDownload}>Attendance as CSV<//></div>`;
}

/** The roles keep the table a table for screen readers where a narrow page shows its rows as cards. */
function People({ of, choices, onChoose, onAssign }) {
  return html`<div class="table-wrap card" tabindex="0" role="region" aria-label="Attendance by person">
    <table class="attendance" role="table"><thead role="rowgroup"><tr role="row">
      <th scope="col" role="columnheader">Person</th><th scope="col" role="columnheader">Time</th>
      <th scope="col" role="columnheader" class="num">Minutes</th><th scope="col" role="columnheader">Share</th>
      <th scope="col" role="columnheader">Present</th>
      <th role="columnheader"><span class="hidden">More</span></th></tr></thead>
    <tbody role="rowgroup">${of.map(
      (person) => html`<${Row} key=${person.attendee_id} of=${person} choice=${choices[person.attendee_id]}
        onChoose=${(choice) => onChoose(person, choice)} onAssign=${() => onAssign(person)} />`,
    )}</tbody></table></div>`;
}

function Row({ of, choice, onChoose, onAssign }) {
  const unknown = of.match === 'none' && of.flags.includes('needs_review');
  const state = choice || stateOf(of);
  const acts = [
    unknown && ['Assign…', onAssign],
    choice && ['Undo', () => onChoose(stateOf(of))],
    !choice && state !== 'excused' && ['Excuse', () => onChoose('excused')],
    !choice && of.present_by === 'override' && ['By the minutes', () => onChoose('rule')],
  ].filter(Boolean);
  return html`<tr role="row" class=${choice ? 'changed' : ''}>
    <th scope="row" role="rowheader"><bdi>${of.name}</bdi>${of.email && html`<span class="fine">${of.email}</span>`}
      <span class="flags">${of.flags.map((flag) => {
        const [tone, word] = FLAGS[flag] || ['quiet', flag.replaceAll('_', ' ')];
        return html`<${Badge} key=${flag} tone=${tone}>${word}<//>`;
      })}</span></th>
    <td role="cell" class="time"><${Time} of=${of} /></td>
    <td role="cell" class="num minutes">${of.minutes}</td>
    <td role="cell" class="part"><${Share} percent=${of.percent} label=${`${of.percent} percent`} />
      <span class="fine" aria-hidden="true">${of.percent} %</span></td>
    <td role="cell" class="present"><span class="presence">
      <input type="checkbox" role="switch" class="switch" aria-label=${`Present: ${of.name}`}
        checked=${state === 'present'}
        onChange=${(event) => onChoose(event.target.checked ? 'present' : 'absent')} />
      <${Presence} of=${of} choice=${choice} /></span></td>
    <td role="cell" class="more-acts"><span class="acts">${acts.map(
      ([word, act]) => html`<${Button} key=${word} kind="quiet" small aria-label=${`${word} ${of.name}`}
        onClick=${act}>${word}<//>`,
    )}</span></td></tr>`;
}

function Time({ of }) {
  if (!of.first_joined_at) return html`<span class="fine">Did not join</span>`;
  const facts = [of.connections > 1 && counted(of.connections, 'connection'), MATCHES[of.match]].filter(Boolean);
  return html`${hour(of.first_joined_at, HERE)}–${of.last_left_at ? hour(of.last_left_at, HERE) : 'now'}
    <span class="fine">${facts.join(', ')}</span>`;
}

const CHOICES = { present: 'Present', absent: 'Absent', excused: 'Excused', rule: 'By the minutes' };

function Presence({ of, choice }) {
  if (choice) return html`<span>${CHOICES[choice]}<span class="fine">not saved yet</span></span>`;
  const word = of.present ? 'Present' : { excused: 'Excused', absent: 'Absent' }[of.status] || 'Not yet';
  const more = [
    { late: 'late', left_early: 'left early' }[of.status],
    of.present_by === 'override' && 'by hand',
  ].filter(Boolean);
  return html`<span>${word}${more.length > 0 && html`<span class="fine">${more.join(', ')}</span>`}</span>`;
}

/** The switches that were turned, until they are saved. */
function Changes({ count, onSave, onDiscard }) {
  const [reason, setReason] = useState('');
  const [busy, setBusy] = useState(false);
  const save = async (event) => {
    event.preventDefault();
    setBusy(true);
    await click('Change attendance', () => onSave(reason.trim()));
    setBusy(false);
  };
  return html`<form class="card changes" onSubmit=${save} aria-label="Unsaved changes">
    <strong role="status">${counted(count, 'change')}</strong>
    <${Text} label="Reason" optional maxlength=${500} value=${reason} onInput=${setReason} />
    <div class="acts"><${Button} kind="quiet" onClick=${onDiscard}>Discard<//>
      <${Button} type="submit" kind="primary" busy=${busy}>Save<//></div></form>`;
}

function Assign({ as, session, row, all, onClose }) {
  const [person, setPerson] = useState('');
  const [reason, setReason] = useState('');
  const [errors, setErrors] = useState(/** @type {Record<string, string>} */ ({}));
  const save = async (event) => {
    event.preventDefault();
    const missing = {
      ...(!person && { person: 'Choose a person.' }),
      ...(!reason.trim() && { reason: 'Enter a reason. It is stored with the change.' }),
    };
    setErrors(missing);
    if (Object.keys(missing).length) return;
    const done = await click(
      'Assign attendance',
      () => assign(as, session.id, row.attendee_id, person, reason.trim()),
      { done: 'Saved.' },
    );
    if (done) onClose();
  };
  const people = all.filter((of) => of.attendee_id !== row.attendee_id && !of.flags.includes('needs_review'));
  return html`<${Dialog} title=${`Assign ${row.name}`} onClose=${onClose}><form onSubmit=${save} novalidate>
    <${Select} label="Assign to" value=${person} onChange=${setPerson} error=${errors.person}
      hint="The time then counts for that person."
      options=${[['', 'Choose a person'], ...people.map((of) => [of.attendee_id, of.name])]} />
    <${Text} label="Reason" lines=${2} maxlength=${500} value=${reason} error=${errors.reason} onInput=${setReason} />
    <footer><${Button} onClick=${onClose}>Cancel<//>
      <${Button} type="submit" kind="primary">Save<//></footer></form><//>`;
}

function Audit({ of, all, nameOf }) {
  const items = of.data?.items || [];
  if (!items.length) return null;
  const name = (id) => all.find((person) => person.attendee_id === id)?.name || 'An assigned row';
  const word = (state) => {
    if (state.assigned_to) return `assigned to ${name(state.assigned_to)}`;
    const status = (state.status || (state.present ? 'present' : 'absent')).replace('_', ' ');
    return `${status}${state.present_by === 'rule' ? ' by the minutes' : ''}`;
  };
  return html`<details class="more"><summary>Changes (${items.length})</summary><ul class="audit">${items.map(
    (item) => html`<li key=${item.at + item.attendee_id}>
    <time class="fine" datetime=${item.at}>${stamp(item.at, HERE)}</time>${' '}
    <strong><bdi>${name(item.attendee_id)}</bdi></strong>: ${word(item.old)} → ${word(item.new)}
    <p class="fine">${item.reason && html`“<bdi>${item.reason}</bdi>”, `}<bdi>${nameOf(item.actor)}</bdi></p></li>`,
  )}</ul></details>`;
}
