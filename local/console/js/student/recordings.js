// Links to a class's recordings, which stay at Zoom. The trainer decides who sees each of them.
import { html } from '../ui.js';
import { api } from '../api.js';
import { click } from '../cost.js';
import { useLoad } from '../load.js';
import { HERE, minutes, size, stamp } from '../time.js';
import { Badge, Button, Empty, Icon, Loaded, Passcode } from '../parts/basic.js';

const STATES = {
  trashed: ['warn', 'In Zoom’s trash'],
  deleted: ['bad', 'Deleted at Zoom'],
  unavailable: ['bad', 'Missing at Zoom'],
};
const TYPES = { MP4: 'Video', M4A: 'Sound', CHAT: 'Chat', TRANSCRIPT: 'Transcript', CC: 'Captions' };

const REASONS = {
  not_over: 'The recording appears here after the class.',
  not_ready: 'Zoom needs about as long as the class took to prepare it. It then appears here.',
  not_recorded: 'This class was not recorded.',
  not_held: 'The class was not held.',
  cancelled: 'The class was cancelled.',
  other_provider: 'The class is not held at Zoom.',
  missing_scopes: 'Zoom does not let us list recordings. Connect Zoom again.',
  zoom_not_connected: 'Zoom is not connected.',
  reauth_required: 'Connect Zoom again.',
  other_zoom_user: 'Another Zoom account is connected now.',
};

/**
 * Lets the trainer compare the list with Zoom's.
 *
 * @param {{as: string, path: `/v1/sessions/${string}/recordings`, at?: string}} props
 */
function Sync({ as, path, at }) {
  const compare = () =>
    click('Compare the recordings with Zoom', () => api(as).post(`${path}/sync`), { done: 'Compared with Zoom.' });
  return html`<div class="acts compare"><${Button} small onClick=${compare}>Compare with Zoom<//>
    <span class="fine">${at ? `Compared ${stamp(at, HERE)}` : 'Not compared yet'}</span></div>`;
}

/** @typedef {`/v1/sessions/${string}/recordings/${string}`} RecordingPath */

/**
 * Lets the trainer decide who sees a recording.
 *
 * @param {{as: string, path: RecordingPath, of: any}} props
 */
function Decide({ as, path, of }) {
  const isShown = of.visibility === 'invited';
  const decide = () =>
    click(
      isShown ? 'Hide a recording' : 'Show a recording',
      () => api(as).put(path, { visibility: isShown ? 'trainer' : 'invited' }),
      { done: isShown ? 'Only you see it now.' : 'The class sees it now.' },
    );
  return html`<${Button} small onClick=${decide}>${isShown ? 'Hide from the class' : 'Show to the class'}<//>`;
}

/** @param {{as: string, path: RecordingPath, of: any, owner: boolean}} props */
function File({ as, path, of, owner }) {
  const watched = () => click('Watch a recording', () => api(as).post(`${path}/view`));
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
      ${of.visibility === 'trainer' && html`${' '}<${Badge} tone="warn">Only you see it<//>`}
      <p class="fine">${facts.join(' · ')}</p>
      ${of.passcode && html`<p class="fine">Passcode${' '}<${Passcode} code=${of.passcode} /></p>`}
      ${owner && html`<${Decide} as=${as} path=${path} of=${of} />`}</div>
    ${
      of.state === 'available'
        ? html`<a class="button" href=${of.play_url} target="_blank" rel="noopener noreferrer" onClick=${watched}>
          <${Icon} name="play" /><span>Watch recording</span></a>`
        : html`<${Badge} tone=${tone}>${word}<//>`
    }</li>`;
}

export function Recordings({ as, session, owner }) {
  /** @type {`/v1/sessions/${string}/recordings`} */
  const path = `/v1/sessions/${session.id}/recordings`;
  const list = useLoad(`recordings ${as} ${session.id}`, () => api(as).get(path));
  const file = (of) => html`<${File} key=${of.id} as=${as} path=${`${path}/${of.id}`} of=${of} owner=${owner} />`;
  return html`<${Loaded} of=${list} lines=${1}>${({ items, reason, synced_at }) => html`${
    items.length
      ? html`<ul class="recordings">${items.map(file)}</ul>`
      : html`<${Empty} icon="play" title="No recording">${REASONS[reason] || 'There is no recording.'}<//>`
  }
    ${owner && html`<${Sync} as=${as} path=${path} at=${synced_at} />`}`}<//>`;
}
