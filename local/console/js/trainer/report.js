// The page after class: attendance, recording and polls.
import { html } from '../ui.js';
import { Section } from '../parts/section.js';
import { Recordings } from '../student/recordings.js';
import { Attendance } from './attendance.js';
import { Results } from './results.js';

export function Report({ as, session, section }) {
  return html`
    <${Section} id="attendance" title="Attendance" at=${section}><${Attendance} as=${as} session=${session} /><//>
    <${Section} id="recordings" title="Recording" at=${section}>
      <${Recordings} as=${as} session=${session} owner /><//>
    <${Section} id="polls" title="Polls" at=${section}><${Results} as=${as} session=${session} /><//>`;
}
