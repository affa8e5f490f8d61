// Links to a class's recordings, which stay at Zoom.
import { html } from '../ui.js';
import { api } from '../api.js';
import { useLoad } from '../load.js';
import { HERE, minutes, size, stamp } from '../time.js';
import { Badge, Empty, Icon, Loaded, Passcode } from '../parts/basic.js';

const STATES = { trashed: ['warn', 'In Zoom’s trash'], deleted: ['bad', 'Deleted at Zoom'] };
const TYPES = { MP4: 'Video', M4A: 'Sound', CHAT: 'Chat', TRANSCRIPT: 'Transcript', CC: 'Captions' };

/** Why there is no recording, or not yet. */
function None({ of }) {
  if (!of.record_session) return html`<${Empty} icon="play" title="Not recorded">This class is not recorded.<//>`;
  if (of.status === 'cancelled') return html`<${Empty} icon="play" title="No recording">The class was cancelled.<//>`;
  if (of.status === 'ended')
    return html`<${Empty} icon="play" title="No recording yet">
      Zoom needs about as long as the class took to prepare it. It then appears here.<//>`;
  return html`<${Empty} icon="play" title="No recording yet">The recording appears here after the class.<//>`;
}

function File({ of }) {
  const seconds = of.duration_seconds;
  const facts = [
    of.recorded_at && stamp(of.recorded_at, HERE),
    seconds && minutes(Math.max(1, Math.round(seconds / 60))),
    size(of.size_bytes),
  ].filter(Boolean);
  const [tone, word] = STATES[of.state] || ['quiet', of.state];
  return html`<li class="card">
    <span class="notice-icon"><${Icon} name=${of.file_type === 'MP4' ? 'play' : 'record'} /></span>
    <div><strong>${TYPES[of.file_type] || of.file_type}</strong>
      ${of.visibility === 'trainer' && html`${' '}<${Badge} tone="warn">Only you: outside the class<//>`}
      <p class="fine">${facts.join(' · ')}</p>
      ${of.passcode && html`<p class="fine">Passcode${' '}<${Passcode} code=${of.passcode} /></p>`}</div>
    ${
      of.state === 'available'
        ? html`<a class="button" href=${of.play_url} target="_blank" rel="noopener noreferrer">
          <${Icon} name="play" /><span>Watch recording</span></a>`
        : html`<${Badge} tone=${tone}>${word}<//>`
    }</li>`;
}

export function Recordings({ as, session }) {
  const list = useLoad(`recordings ${as} ${session.id}`, () => api(as).get(`/v1/sessions/${session.id}/recordings`));
  return html`<${Loaded} of=${list} lines=${1}>${({ items }) =>
    items.length
      ? html`<ul class="recordings">${items.map((file) => html`<${File} key=${file.id} of=${file} />`)}</ul>`
      : html`<${None} of=${session} />`}<//>`;
}
