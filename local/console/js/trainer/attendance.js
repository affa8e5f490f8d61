// The attendance report with overrides.
import { html, useState } from '../ui.js';
import { api, csv } from '../api.js';
import { click } from '../cost.js';
import { useLoad } from '../load.js';
import { hour, stamp } from '../time.js';
import { Badge, Button, Empty, Loaded, Segments, Share, saveCsv } from '../parts/basic.js';
import { Dialog } from '../parts/layers.js';
import { Select, Text } from '../parts/form.js';

const FLAGS = {
  needs_review: ['warn', 'Needs review'],
  assigned: ['info', 'Assigned by hand'],
  left_inferred: ['quiet', 'Leave time inferred'],
  joined_inferred: ['quiet', 'Join time inferred'],
};
const STATUSES = { late: 'late', left_early: 'left early' };
const MATCHES = { customer_key: 'by join', registrant: 'by registration', email: 'by e-mail address', none: '' };

export function Attendance({ as, session }) {
  const base = `/v1/sessions/${session.id}/attendance`;
  const report = useLoad(`attendance ${session.id}`, () => api(as).get(base));
  const audit = useLoad(`audit ${session.id}`, () => api(as).get(`${base}/audit`));
  const [row, setRow] = useState(null);
  const download = () =>
    click('Download attendance', async () => {
      saveCsv(`attendance-${session.id}.csv`, await csv(as, base));
    });
  return html`<${Loaded} of=${report} lines=${4} height=${52}>${(of) => html`
    <div class="tiles"><div class="tile"><strong>${of.present}<span> of ${of.expected}</span></strong>present</div>
      <div class="tile"><strong>${of.percent_present}<span> %</span></strong>of expected people</div>
      <div class="tile"><strong>${of.held_minutes}<span> of ${of.planned_minutes} min</span></strong>held, ${of.counted_minutes} counted</div>
      <${Button} icon="download" onClick=${download}>CSV<//></div>
    ${
      of.attendees.length === 0
        ? html`<${Empty} icon="people" title="Nobody is expected and nobody joined">Participants appear here with their minutes.<//>`
        : html`<div class="table-wrap card" tabindex="0" role="region" aria-label="Attendance by person"><table class="attendance"><thead><tr><th scope="col">Person</th><th scope="col">Time</th><th scope="col" class="num">Minutes</th><th scope="col">Share</th><th scope="col">Present</th><th><span class="hidden">Edit</span></th></tr></thead>
      <tbody>${of.attendees.map(
        (who) => html`<tr key=${who.attendee_id}>
        <th scope="row"><span>${who.name}</span>${who.email && html`<span class="fine">${who.email}</span>`}
          <span class="flags">${who.flags.map((flag) => html`<${Badge} key=${flag} tone=${(FLAGS[flag] || ['quiet'])[0]}>${(FLAGS[flag] || [0, flag])[1]}<//>`)}</span></th>
        <td>${
          who.first_joined_at
            ? html`${hour(who.first_joined_at, session.timezone)}–${who.last_left_at ? hour(who.last_left_at, session.timezone) : 'now'}
          <span class="fine">${who.connections > 1 ? `${who.connections} times, ` : ''}${MATCHES[who.match]}</span>`
            : html`<span class="fine">Did not join</span>`
        }</td>
        <td class="num">${who.minutes}</td>
        <td><${Share} percent=${who.percent} label=${`${who.percent} percent`} /><span class="fine" aria-hidden="true">${who.percent} %</span></td>
        <td>${
          who.present
            ? html`<${Badge} tone="good" icon="check">Present<//>`
            : who.status === 'excused'
              ? html`<${Badge} tone="info">Excused<//>`
              : who.status === 'absent'
                ? html`<${Badge}>Absent<//>`
                : html`<span class="fine">Not yet</span>`
        }
          ${STATUSES[who.status] && html`<span class="fine">${STATUSES[who.status]}</span>`}
          ${who.present_by === 'override' && html`<span class="fine">by hand</span>`}</td>
        <td><${Button} small kind="quiet" icon="edit" label=${`Edit attendance of ${who.name}`} onClick=${() => setRow(who)} /></td></tr>`,
      )}</tbody></table></div>`
    }
    ${row && html`<${Decide} as=${as} base=${base} row=${row} all=${of.attendees} onClose=${() => setRow(null)} />`}
    <${Audit} of=${audit} zone=${session.timezone} all=${of.attendees} />`}<//>`;
}

function Decide({ as, base, row, all, onClose }) {
  const unknown = row.match === 'none' && row.flags.includes('needs_review');
  const [choice, setChoice] = useState(row.present_by === 'override' ? 'rule' : row.present ? 'absent' : 'present');
  const [whose, setWhose] = useState('');
  const [reason, setReason] = useState('');
  const [problem, setProblem] = useState(null);
  const save = async (event) => {
    event.preventDefault();
    if (whose && !reason.trim()) {
      setProblem('Enter a reason. It is stored with the change.');
      return;
    }
    const body = reason.trim() ? { reason: reason.trim() } : {};
    if (whose) body.assign_to = { attendee_id: whose };
    else if (choice === 'excused') body.status = 'excused';
    else if (choice === 'rule') Object.assign(body, { present: null, status: null });
    else body.present = choice === 'present';
    const done = await click('Change attendance', () => api(as).put(`${base}/${row.attendee_id}`, body), {
      done: 'Saved.',
    });
    if (done) onClose();
  };
  const people = all.filter((who) => who.attendee_id !== row.attendee_id && !who.flags.includes('needs_review'));
  return html`<${Dialog} title=${row.name} onClose=${onClose}><form onSubmit=${save} novalidate>
    ${
      unknown &&
      html`<${Select} label="Assign to" value=${whose} onChange=${setWhose} hint="The time then counts for that person."
      options=${[['', 'Nobody'], ...people.map((who) => [who.attendee_id, who.name])]} />`
    }
    ${
      !whose &&
      html`<div class="field"><span class="label">Presence of ${row.name}</span><${Segments} label="Presence" value=${choice} onChange=${setChoice}
      of=${[['present', 'Present'], ['absent', 'Absent'], ['excused', 'Excused'], ['rule', 'By the rule']]} /></div>`
    }
    <${Text} label="Reason" lines=${2} maxlength=${500} value=${reason} error=${problem} onInput=${(text) => {
      setReason(text);
      setProblem(null);
    }} />
    <footer><${Button} onClick=${onClose}>Cancel<//><${Button} type="submit" kind="primary">Save<//></footer></form><//>`;
}

function Audit({ of, zone, all }) {
  const items = of.data?.items || [];
  if (!items.length) return null;
  const name = (id) => all.find((who) => who.attendee_id === id)?.name || 'An assigned row';
  const word = (state) => {
    if (state.assigned_to) return `assigned to ${name(state.assigned_to)}`;
    const status = (state.status || (state.present ? 'present' : 'absent')).replace('_', ' ');
    return `${status}${state.present_by === 'rule' ? ' by the rule' : ''}`;
  };
  return html`<details class="more"><summary>Changes (${items.length})</summary><ul class="audit">${items.map(
    (item) => html`<li key=${item.at + item.attendee_id}>
    <time class="fine" datetime=${item.at}>${stamp(item.at, zone)}</time> <strong>${name(item.attendee_id)}</strong>: ${word(item.old)} → ${word(item.new)}
    <p class="fine">${item.reason && `“${item.reason}”, `}${item.actor}</p></li>`,
  )}</ul></details>`;
}
