// The form for scheduling and editing. The audience comes first, then the fields that depend on it.
import { html, useState, useEffect, useRef, useMemo } from '../ui.js';
import { api, stack } from '../api.js';
import { When } from '../classes.js';
import { FeatureOff, PlanLimits, allowsDuration, allowsInvitees, useCapabilities } from '../capabilities.js';
import { click } from '../cost.js';
import { useLoad } from '../load.js';
import { say } from '../notes.js';
import { go } from '../route.js';
import { HERE, ZONES, minutes, now, wall } from '../time.js';
import { Button, Icon, Loaded, Note, ProblemNote } from '../parts/basic.js';
import { Combo, Invitees, Select, Switch, Text } from '../parts/form.js';
import { Go, Heading } from '../parts/person.js';
import { PEOPLE } from '../people.js';

const AUDIENCES = [
  ['course', 'calendar', 'A course', 'Everyone enrolled, now and later'],
  ['invitees', 'mail', 'People by e-mail', 'A list of addresses, on the platform or not'],
  ['standalone', 'link', 'Anyone with the link', 'Nobody is invited. You share the link.'],
];

const SETTINGS = [
  ['waiting_room', 'Waiting room', 'You admit people one by one'],
  ['mute_upon_entry', 'Mute on entry', ''],
  ['participant_video', 'Start with participants’ cameras on', ''],
  ['focus_mode', 'Focus mode', 'Students see only the trainer'],
];

const DURATIONS = [15, 30, 45, 60, 75, 90, 120, 180, 240, 360, 480];

function blank(capabilities) {
  // Default: tomorrow at ten, which is always in the future.
  const tomorrow = wall(now() + 86_400_000, HERE);
  return {
    audience_type: 'course',
    course_id: null,
    invitees: [],
    title: '',
    description: '',
    date: tomorrow.date,
    time: '10:00',
    timezone: HERE,
    duration_minutes: allowsDuration(capabilities, 60) ? 60 : capabilities.plan.limits.max_duration_minutes,
    provider: 'zoom',
    join_url: '',
    record_session: false,
    settings: {},
    co_trainers: [],
  };
}

function filled(session) {
  const at = wall(session.starts_at, session.timezone);
  return {
    audience_type: session.audience_type,
    course_id: session.course_id,
    invitees: session.invitees || [],
    title: session.title,
    description: session.description,
    date: at.date,
    time: at.time,
    timezone: session.timezone,
    duration_minutes: session.duration_minutes,
    provider: session.provider,
    join_url: session.provider === 'manual' ? session.meeting.join_url : '',
    record_session: session.record_session,
    settings: session.settings || {},
    co_trainers: session.co_trainers,
  };
}

/** Warnings about a class that was saved nevertheless. */
const WARNINGS = {
  overlap: 'It overlaps with another class.',
  forty_minutes: 'Its host has no Zoom licence, so Zoom ends it after 40 minutes.',
};

/** Returns the request body: only fields of the audience and the provider, because the API refuses others. */
function body(draft) {
  const zoom = draft.provider === 'zoom';
  const settings = Object.fromEntries(
    Object.entries(draft.settings).filter(([, value]) => value !== null && value !== undefined),
  );
  return {
    title: draft.title,
    ...(draft.description.trim() && { description: draft.description }),
    audience_type: draft.audience_type,
    ...(draft.audience_type === 'course' && { course_id: draft.course_id }),
    ...(draft.audience_type === 'invitees' && {
      invitees: draft.invitees.map(({ email, name }) => (name ? { email, name } : { email })),
    }),
    starts_at: `${draft.date}T${draft.time}:00`,
    timezone: draft.timezone,
    duration_minutes: Number(draft.duration_minutes),
    provider: draft.provider,
    ...(zoom ? { record_session: draft.record_session } : { join_url: draft.join_url }),
    // Also if empty: the form shows every setting, so the trainer's defaults must not replace them.
    ...(zoom && { settings }),
    ...(draft.co_trainers?.length > 0 && { co_trainers: draft.co_trainers }),
  };
}

/** Checks required fields. The API validates the rest. */
function missing(draft) {
  const errors = {};
  if (!draft.title.trim()) errors.title = 'Enter a title.';
  if (draft.audience_type === 'course' && !draft.course_id) errors.course_id = 'Choose a course.';
  if (draft.audience_type === 'invitees' && !draft.invitees.length) errors.invitees = 'Invite at least one person.';
  if (!draft.date || !draft.time) errors.starts_at = 'Enter day and time.';
  if (draft.provider === 'manual' && !draft.join_url.trim()) errors.join_url = 'Enter a link.';
  return errors;
}

/** The class that the Zoom account hosts at the chosen time, and the choice to overlap with it. */
function Conflict({ as, problem, word, onInsist }) {
  const id = problem.conflicting_session_id;
  const other = useLoad(`conflict ${id}`, () => api(as).get(`/v1/sessions/${id}`), { every: 0 });
  return html`<${Note} tone="warn" title="Another class takes place at that time">
    ${
      other.data
        ? html`<p><${Go} as=${as} to=${`classes/${id}`}><bdi>${other.data.title}</bdi><//> · <${When}
      of=${other.data} /></p>`
        : html`<p>${problem.message}</p>`
    }
    <p>The Zoom account may not be able to host both. Choose another time, or overlap.</p>
    <${Button} small onClick=${onInsist}>${word}<//><//>`;
}

export function Schedule({ as }) {
  return html`<${Heading} as=${as} back=${['classes', 'Classes']}>Schedule a class<//>
    <${IfEnabled} as=${as}>${(capabilities) => html`<${PlanLimits} of=${capabilities} />
      <${Form} as=${as} name=${`draft ${as}`} initial=${() => blank(capabilities)} capabilities=${capabilities} />`}
        <//>`;
}

/** Shows a friendly page instead of a form that could not be saved. */
function IfEnabled({ as, children }) {
  const capabilities = useCapabilities(as);
  return html`<${Loaded} of=${capabilities} height=${140}>
    ${(of) => (of.live_classes.enabled ? children(of) : html`<${FeatureOff} of=${of} page />`)}<//>`;
}

export function Edit({ as, id }) {
  const session = useLoad(`edit ${id}`, () => api(as).get(`/v1/sessions/${id}`), { every: 0 });
  return html`<${Heading} as=${as} back=${[`classes/${id}`, 'Back to the class']}>Edit class<//>
    <${IfEnabled} as=${as}>${(capabilities) =>
      html`<${Loaded} of=${session} height=${140}>${(of) => html`<${Form} as=${as} name=${`draft ${id}`}
      session=${of} initial=${() => filled(of)} capabilities=${capabilities} />`}<//>`}<//>`;
}

function Form({ as, name, session, initial, capabilities }) {
  // Keep the draft during navigation.
  const [draft, setDraft] = useState(
    () => JSON.parse(sessionStorage.getItem(name)) || { ...initial(), version: session?.version },
  );
  const [errors, setErrors] = useState(/** @type {Record<string, string>} */ ({}));
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const form = useRef(null);
  const attempt = useRef({ text: '', key: '' });
  const touched = useRef(Boolean(sessionStorage.getItem(name)));
  const own = PEOPLE[as].claims.sub;
  const directory = useLoad('directory', async () => (await stack.get('/local/directory')).items, { every: 0 });
  useEffect(() => {
    if (touched.current) sessionStorage.setItem(name, JSON.stringify(draft));
  }, [draft]);
  const set = (field) => (value) => {
    touched.current = true;
    setDraft((held) => ({ ...held, [field]: value }));
    setErrors((held) =>
      Object.fromEntries(
        Object.entries(held).filter(
          ([key]) => !key.startsWith(field) && !(field === 'date' || field === 'time' ? key === 'starts_at' : false),
        ),
      ),
    );
  };
  const zones = useMemo(() => ZONES.map((zone) => ({ key: zone, text: zone.replaceAll('_', ' ') })), []);
  const leave = (to) => {
    sessionStorage.removeItem(name);
    touched.current = false;
    go(as, to);
  };
  const show = (found) => {
    setErrors(found);
    setTimeout(() => form.current?.querySelector('[aria-invalid=true]')?.focus());
  };

  const save = async (event, insists = false) => {
    event?.preventDefault();
    if (busy) return;
    const found = missing(draft);
    setProblem(null);
    if (Object.keys(found).length) {
      show(found);
      return;
    }
    setBusy(true);
    const wanted = { ...body(draft), ...(insists && { allow_overlap: true }) };
    // A retry of the same request uses the same key and returns the same class.
    const text = JSON.stringify(wanted);
    if (attempt.current.text !== text) attempt.current = { text, key: crypto.randomUUID() };
    try {
      const saved = await click(
        session ? 'Edit a class' : 'Schedule a class',
        () =>
          session
            ? api(as).put(`/v1/sessions/${session.id}`, wanted, { 'if-match': `"${draft.version}"` })
            : api(as).post('/v1/sessions', wanted, { 'idempotency-key': attempt.current.key }),
        { quiet: true },
      );
      const warnings = Object.entries(WARNINGS)
        .filter(([key]) => saved.warnings.some((warning) => warning === key))
        .map(([, words]) => ` ${words}`);
      const what = session ? 'Saved.' : html`“<bdi>${saved.title}</bdi>” is scheduled.`;
      say(html`${what}${warnings.join('')}`);
      leave(session ? `classes/${saved.id}` : 'classes');
    } catch (told) {
      setProblem(told);
      show(Object.fromEntries((told.errors || []).map((error) => [error.field, error.message])));
    } finally {
      setBusy(false);
    }
  };
  const discard = () => leave(session ? `classes/${session.id}` : 'classes');
  const readAnew = () => setDraft((held) => ({ ...held, version: session.version }));

  const known = [
    'title',
    'description',
    'course_id',
    'starts_at',
    'timezone',
    'duration_minutes',
    'record_session',
    'join_url',
  ];
  const others = Object.entries(errors).filter(([field]) => !known.includes(field) && !field.startsWith('invitees'));
  const listed = directory.data || [];
  const of = listed.filter((item) => item.type === 'course' && item.trainer_id === own);
  const colleagues = listed.filter((item) => item.type === 'user' && item.role === 'trainer' && item.id !== own);
  const teaching = draft.co_trainers || [];
  // Options that the plan does not allow are hidden, unless the class already has them.
  const audiences = AUDIENCES.filter(
    ([key]) => key !== 'invitees' || key === draft.audience_type || allowsInvitees(capabilities),
  );
  const durations = DURATIONS.filter((n) => allowsDuration(capabilities, n));
  const hosted = session ? session.hosting === 'platform' : capabilities.hosting === 'platform';
  const allDurations = [...new Set([...durations, Number(draft.duration_minutes)])].sort((a, b) => a - b);
  const meets = [
    ['zoom', hosted ? 'Zoom, in the platform’s account' : 'Zoom, in your account'],
    ['manual', 'Your own link'],
  ];
  const coTrainerDoes =
    hosted && draft.provider === 'zoom'
      ? 'Starts the class as its host, runs polls, corrects attendance'
      : 'Joins early, runs polls, corrects attendance';
  const records = capabilities.recording_allowed || draft.record_session;
  return html`<form class="card form-card" ref=${form} onSubmit=${save} novalidate>
    ${
      problem?.code === 'precondition_failed'
        ? html`<${Note} tone="warn" title="Changed since you opened it"><p>
          ${problem.message} Your changes are still here.</p>
          <${Button} small onClick=${() => {
            readAnew();
            setProblem(null);
          }}>Overwrite<//> <${Button} kind="quiet" small onClick=${discard}>Discard my changes<//><//>`
        : problem?.conflicting_session_id
          ? html`<${Conflict} as=${as} problem=${problem} word=${session ? 'Save anyway' : 'Schedule anyway'}
            onInsist=${() => save(null, true)} />`
          : html`<${ProblemNote} of=${problem} />`
    }
    ${
      others.length > 0 &&
      html`<ul class="errors">${others.map(
        ([field, message]) => html`<li key=${field}><code>
      ${field}</code> ${message}</li>`,
      )}</ul>`
    }
    <fieldset class="audience"><legend>Audience</legend>${audiences.map(
      ([key, icon, word, more]) => html`
      <label key=${key} class=${draft.audience_type === key ? 'chosen' : ''}><input type="radio" name="audience"
        value=${key}
        checked=${draft.audience_type === key} onChange=${() => set('audience_type')(key)} />
        <${Icon} name=${icon} /><span><strong>${word}</strong><span class="fine">${more}</span></span></label>`,
    )}</fieldset>
    ${
      draft.audience_type === 'course' &&
      html`<${Combo} label="Course" placeholder="Search your courses" value=${draft.course_id}
      options=${of.map((course) => ({ key: course.id, text: course.title, more: course.id }))}
        onChange=${set('course_id')} error=${errors.course_id} />`
    }
    ${
      draft.audience_type === 'invitees' &&
      html`<${Invitees} label="People" value=${draft.invitees}
      onChange=${set('invitees')} error=${errors.invitees} errors=${errors} />`
    }
    <${Text} label="Title" value=${draft.title} onInput=${set('title')} error=${errors.title} maxlength=${200} />
    <${Text} label="Description" optional lines=${3} value=${draft.description} onInput=${set('description')}
      error=${errors.description} maxlength=${2000} />
    <div class="row"><${Text} label="Day" type="date" value=${draft.date} onInput=${set('date')}
      error=${errors.starts_at} />
      <${Text} label="Time" type="time" value=${draft.time} onInput=${set('time')} />
      <${Select} label="Duration" value=${draft.duration_minutes} onChange=${set('duration_minutes')}
        error=${errors.duration_minutes}
        options=${allDurations.map((n) => [n, minutes(n)])} /></div>
    <${Combo} label="Time zone" value=${draft.timezone} options=${zones} onChange=${set('timezone')}
      error=${errors.timezone}
      hint="The class keeps its local time across daylight saving changes." />
    ${
      !session &&
      html`<${Select} label="Where it meets" value=${draft.provider} onChange=${set('provider')}
      options=${meets} />`
    }
    ${
      draft.provider === 'manual'
        ? html`<${Text} label="Link" type="url" placeholder="https://" value=${draft.join_url}
          onInput=${set('join_url')} error=${errors.join_url} />`
        : html`${
            records &&
            html`<${Switch} label="Record the class" hint="To Zoom’s cloud. Invited people can watch it afterwards."
              checked=${draft.record_session}
          onChange=${set('record_session')} error=${errors.record_session} />`
          }
        <details class="more"><summary>Meeting settings</summary>${SETTINGS.map(
          ([key, word, hint]) => html`<${Switch} key=${key} label=${word} hint=${hint}
          checked=${Boolean(draft.settings[key])}
            onChange=${(on) => set('settings')({ ...draft.settings, [key]: on })} />`,
        )}</details>`
    }
    ${
      colleagues.length > 0 &&
      html`<details class="more" open=${teaching.length > 0}><summary>Co-trainers</summary>${colleagues.map(
        ({ id, name: who }) => html`<${Switch} key=${id} label=${who}
      hint=${coTrainerDoes}
      checked=${teaching.includes(id)}
      onChange=${(on) => set('co_trainers')(on ? [...teaching, id] : teaching.filter((each) => each !== id))} />`,
      )}</details>`
    }
    <footer class="form-foot"><${Button} kind="quiet" onClick=${discard}>Discard<//>
      <${Button} type="submit" kind="primary" busy=${busy}>${session ? 'Save changes' : 'Schedule class'}<//></footer>
        </form>`;
}
