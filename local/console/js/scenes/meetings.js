// Acting as the participants and the host of a meeting at the simulated Zoom.
import { html, useState } from '../ui.js';
import { stack } from '../api.js';
import { click } from '../cost.js';
import { useLoad } from '../load.js';
import { ask } from '../notes.js';
import { go, href } from '../route.js';
import { hour, stamp, HERE } from '../time.js';
import { Avatar, Badge, Button, Empty, Loaded } from '../parts/basic.js';
import { Text } from '../parts/form.js';

const STATES = {
  waiting: ['info', 'Waiting'],
  started: ['live', 'Started'],
  ended: ['quiet', 'Ended'],
  deleted: ['bad', 'Deleted'],
};
const status = (of) => html`<${Badge} tone=${(STATES[of] || ['quiet'])[0]}>${(STATES[of] || [0, of])[1]}<//>`;

export function Meetings({ id }) {
  const list = useLoad('meetings', async () => (await stack.get('/zoom/sim/meetings')).items.reverse(), {
    every: 5000,
  });
  return html`<${Loaded} of=${list} height=${60}>${(items) =>
    items.length
      ? html`<div class="split${id ? ' chosen' : ''}"><ul class="mails" aria-label="Meetings at Zoom">${items.map(
          (meeting) => html`<li key=${meeting.id}>
    <a href=${href('scenes', `meetings/${meeting.id}`)} aria-current=${String(meeting.id) === id ? 'true' : undefined}
      onClick=${(event) => {
        event.preventDefault();
        go('scenes', `meetings/${meeting.id}`);
      }}>
      <span class="mail-to">${meeting.topic}</span><time class="fine" datetime=${meeting.start_time}>
        ${stamp(meeting.start_time, HERE)}</time>
      <span class="mail-subject">${meeting.id} · ${meeting.host_email}</span>${status(meeting.status)}</a></li>`,
        )}</ul>
    <div class="reader">${
      id
        ? html`<${Meeting} key=${id} id=${id} />`
        : html`<${Empty} icon="video"
      title="Choose a meeting" />`
    }</div></div>`
      : html`<${Empty} icon="video" title="Zoom has no meetings yet">Schedule a class as Tara to create one.<//>`}<//>`;
}

/** A participant, who can leave or lose the connection. */
function Inside({ of, onAct }) {
  const which = { participant_uuid: of.participant_uuid };
  return html`<li><${Avatar} of=${{ name: of.name }} size="small" />
    <span><bdi>${of.name}</bdi>${of.host && html`${' '}<${Badge} tone="info">Host<//>`}
      <span class="fine">${' since '}${hour(of.join_time, HERE)}</span></span>
    ${
      !of.host &&
      html`<${Button} small kind="quiet" onClick=${() => onAct('A participant leaves', 'leave', which)}>Leave<//>
        <${Button} small kind="quiet"
          onClick=${() => onAct('A client loses its connection', 'kill', which)}>Disconnect<//>`
    }</li>`;
}

function Meeting({ id }) {
  const meeting = useLoad(`meeting ${id}`, () => stack.get(`/zoom/sim/meetings/${id}`), { every: 3000 });
  const [name, setName] = useState('Ada Lovelace');
  const [email, setEmail] = useState('');
  const act = (label, what, body, done) =>
    click(label, () => stack.post(`/zoom/sim/meetings/${id}/${what}`, body || {}), { done });
  const remove = async () => {
    const sure = await ask({
      title: 'Delete the meeting at Zoom?',
      text: 'Like a trainer on Zoom’s own pages. The class is updated by Zoom’s event.',
      yes: 'Delete at Zoom',
    });
    if (sure)
      await click('Delete the meeting at Zoom', () => stack.delete(`/zoom/sim/meetings/${id}`), {
        done: 'Deleted at Zoom.',
      });
  };
  const end = async () => {
    const sure = await ask({
      title: 'End the meeting for everyone?',
      text: 'The meeting ends for everyone, and so does the class.',
      yes: 'End',
      no: 'Keep running',
    });
    if (sure) await act('End the meeting', 'end', null, 'The meeting has ended.');
  };
  return html`<${Loaded} of=${meeting} height=${200}>${(of) => {
    const inside = of.participants.filter((who) => !who.leave_time);
    return html`<article class="card meeting" aria-label=${of.topic}><header><h3>${of.topic}</h3><p class="fine">
      ${of.id} · ${of.host_email} ${status(of.status)}</p></header>
      <div class="acts">${
        of.status === 'started'
          ? html`<${Button} kind="danger"
        onClick=${end}>End for everyone<//>`
          : of.status !== 'deleted' &&
            html`<${Button} kind="primary"
          onClick=${() => act('Start the meeting', 'start', null, 'The meeting is running.')}>Start<//>`
      }
        ${
          of.instances.length > 0 &&
          html`<${Button} icon="record"
          onClick=${() => act('Recording ready', 'recording', null, 'Zoom reported the recording.')}>
            Recording is ready<//>`
        }
        ${
          of.status !== 'deleted' &&
          html`<${Button} kind="danger-quiet" icon="trash"
          onClick=${remove}>Delete at Zoom<//>`
        }</div>
      ${
        of.status === 'started' &&
        html`<form class="row end-row" onSubmit=${(event) => {
          event.preventDefault();
          act('A participant joins', 'join', { name, ...(email && { email }) }, `${name} joined.`);
        }}>
        <${Text} label="Name" value=${name} onInput=${setName} required /><${Text} label="E-mail" optional type="email"
          value=${email} onInput=${setEmail} /><${Button} type="submit">Join<//></form>`
      }
      <h4>In the meeting</h4>${
        inside.length
          ? html`<ul class="inside">
            ${inside.map((who) => html`<${Inside} key=${who.participant_uuid} of=${who} onAct=${act} />`)}</ul>`
          : html`<p class="fine">Nobody.</p>`
      }
      <details class="more"><summary>Requests to Zoom (${of.requests.length})</summary><pre tabindex="0"
        aria-label="Requests to Zoom">${JSON.stringify(of.requests, null, 2)}</pre></details></article>`;
  }}<//>`;
}
