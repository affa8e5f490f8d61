// Links to a class's recordings, which stay at Zoom.
import { html } from '../ui.js';
import { api } from '../api.js';
import { useLoad } from '../load.js';
import { minutes, size, stamp } from '../time.js';
import { Badge, Empty, Icon, Loaded, Passcode } from '../parts/basic.js';

const STATES = { trashed: ['warn', 'In Zoom’s trash'], deleted: ['bad', 'Deleted at Zoom'] };
const TYPES = { MP4: 'Video', M4A: 'Sound', CHAT: 'Chat', TRANSCRIPT: 'Transcript', CC: 'Captions' };

export function Recordings({ as, session }) {
  const list = useLoad(`recordings ${as} ${session.id}`, () => api(as).get(`/v1/sessions/${session.id}/recordings`));
  return html`<${Loaded} of=${list} lines=${1}>${({ items }) =>
    items.length
      ? html`<ul class="recordings">${items.map(
          (file) => html`<li class="card" key=${file.id}>
    <span class="notice-icon"><${Icon} name=${file.file_type === 'MP4' ? 'play' : 'record'} /></span>
    <div><strong>${TYPES[file.file_type] || file.file_type}</strong>${file.visibility === 'trainer' && html` <${Badge} tone="warn">Only you: outside the class<//>`}
      <p class="fine">${[file.recorded_at && stamp(file.recorded_at, session.timezone), file.duration_seconds && minutes(Math.max(1, Math.round(file.duration_seconds / 60))), size(file.size_bytes)].filter(Boolean).join(' · ')}</p>
      ${file.passcode && html`<p class="fine">Passcode <${Passcode} code=${file.passcode} /></p>`}</div>
    ${
      file.state === 'available'
        ? html`<a class="button" href=${file.play_url} target="_blank" rel="noopener noreferrer"><${Icon} name="play" /><span>Watch recording</span></a>`
        : html`<${Badge} tone=${STATES[file.state][0]}>${STATES[file.state][1]}<//>`
    }</li>`,
        )}</ul>`
      : html`<${Empty} icon="play" title="No recordings">${session.record_session ? 'The recording appears here some time after the class.' : 'This class is not recorded.'}<//>`}<//>`;
}
