// The host platform's directory, edited with a service token like the platform's back end does.
import { html, useState } from '../ui.js';
import { api } from '../api.js';
import { click } from '../cost.js';
import { ask } from '../notes.js';
import { PEOPLE, PLATFORM } from '../people.js';
import { Button, Note } from '../parts/basic.js';
import { Select, Switch, Text } from '../parts/form.js';

const school = api(PLATFORM.key);
const COURSE = '/v1/directory/courses/course-1';

export function Directory() {
  const [who, setWho] = useState('student-9');
  const [enabled, setEnabled] = useState(true);
  const people = [
    ['student-9', 'Student Nine', 'student9@example.test'],
    ['student-1', PEOPLE.sam.claims.name, PEOPLE.sam.claims.email],
    ['guest-1', PEOPLE.gil.fullName, PEOPLE.gil.email],
  ];
  const [, name, email] = people.find(([id]) => id === who);
  const [title, setTitle] = useState('Algebra I');
  const enrol = () =>
    click('Enrol somebody', () => school.put(`${COURSE}/enrollments/${who}`, { email, name }), {
      done: `${name} is enrolled.`,
    });
  const revoke = async () => {
    const sure = await ask({
      title: `Remove ${name} from Algebra I?`,
      text: 'The course’s classes disappear from their list with the next request, and they can no longer join.',
      yes: 'Remove',
      no: 'Keep',
    });
    if (sure)
      await click('Revoke an enrollment', () => school.delete(`${COURSE}/enrollments/${who}`), {
        done: `${name} is no longer enrolled.`,
      });
  };
  const turn = async (on) => {
    const sure =
      on ||
      (await ask({
        title: 'Switch live classes off?',
        text: 'Scheduling and editing stop at once for everyone. Cancelling, joining and reading still work.',
        yes: 'Switch off',
        no: 'Leave on',
      }));
    if (!sure) {
      setEnabled(true);
      return;
    }
    const done = await click(
      'Change the settings',
      () =>
        school.put('/v1/directory/settings', {
          live_classes_enabled: on,
          plans: {
            free: { sessions_per_month: 4, max_duration_minutes: 60, max_invitees: 20, recording: false },
            pro: {},
          },
        }),
      { done: on ? 'Live classes are on.' : 'Live classes are off.' },
    );
    if (done) setEnabled(on);
  };
  return html`<${Note} icon="people" title="The school is the source">
    <p>The platform owns courses and people. Changes take effect with the next request.</p><//>
    <div class="card form-card"><h3>Algebra I</h3>
      <form class="row end-row" onSubmit=${(event) => {
        event.preventDefault();
        click('Rename a course', () => school.put(COURSE, { title, trainer_id: 'trainer-1' }), { done: 'Saved.' });
      }}>
        <${Text} label="Title" value=${title} onInput=${setTitle} required maxlength=${200} /><${Button}
          type="submit">Rename<//></form>
      <div class="row end-row"><${Select} label="Person" value=${who} onChange=${setWho}
        options=${people.map(([id, word]) => [id, word])} />
        <${Button} onClick=${enrol}>Enrol<//><${Button} kind="danger-quiet" onClick=${revoke}>Remove<//></div>
      <${Switch} label="Live classes" hint="The switch for everybody" checked=${enabled} onChange=${turn} /></div>`;
}
