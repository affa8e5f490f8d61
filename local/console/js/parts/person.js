// The parts of every person's page: frame, notifications, preferences.
import { html, useEffect, useRef, useState } from '../ui.js';
import { HOME } from '../address.js';
import { api } from '../api.js';
import { useArrival } from '../arrival.js';
import { click } from '../cost.js';
import { useLoad } from '../load.js';
import { PEOPLE, PERSONAS, PLATFORM } from '../people.js';
import { go, href } from '../route.js';
import { day, hour, stamp, HERE } from '../time.js';
import { Avatar, Badge, Button, Empty, Icon, Loaded, ProblemNote } from './basic.js';
import { Switch } from './form.js';

/** A link within a person's page. */
export function Go({ as, to, children, ...rest }) {
  return html`<a href=${href(as, to)} ...${rest} onClick=${(event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    go(as, to);
  }}>${children}</a>`;
}

/**
 * The heading of a page of `as`, which also names the window. `part` is the part of the page that is shown, for screen
 * readers and the title.
 */
export function Heading({ as, children, part, back, actions }) {
  const heading = useArrival(as, part ? `${part} · ${children}` : children);
  return html`<div class="heading">
    ${back && html`<${Go} as=${as} to=${back[0]} class="back"><${Icon} name="chevron" size=${15} />${back[1]}<//>`}
    <div class="heading-line">
      <h2 tabindex="-1" ref=${heading}><bdi>${children}</bdi>${part && html`<span class="hidden">: ${part}</span>`}</h2>
      ${actions && html`<div class="actions">${actions}</div>`}</div></div>`;
}

/** An address that leads to no page. */
export function NotFound({ as, title = 'Page not found', children = 'There is no page at this address.' }) {
  return html`<${Heading} as=${as}>${title}<//>
    <${Empty} icon="search" title=${children} />
    <p class="centre"><${Go} as=${as} to=${HOME[as]} class="button">Back to the start<//></p>`;
}

/** A page about a class that cannot be read: unknown, or because of an error. */
export function ClassProblem({ as, of, home }) {
  return of.problem.status === 404
    ? html`<${NotFound} as=${as} title="Class not found">
        The class does not exist, or you are not invited to it.<//>`
    : html`<${Heading} as=${as} back=${['classes', home]}>Class<//><${ProblemNote} of=${of.problem}
      again=${of.reload} />`;
}

/** The pages of a person with an account. */
function Pages({ as, place }) {
  const person = PEOPLE[as];
  const unread = useLoad(
    `unread ${as}`,
    () =>
      api(as)
        .get('/v1/me/notifications?limit=1')
        .then((page) => page.unread_count),
    { every: 15_000 },
  );
  const count = unread.data || 0;
  return html`<nav class="pane-nav" aria-label=${`${person.name}'s pages`}>
        <${Go} as=${as} to="classes" aria-label="Classes" title="Classes"
          aria-current=${/^(classes|new)/.test(place) ? 'page' : undefined}><${Icon} name="calendar" /><//>
        <${Go} as=${as} to="notices" aria-label=${count ? `Notifications, ${count} unread` : 'Notifications'}
          title="Notifications" aria-current=${place === 'notices' ? 'page' : undefined}>
          <${Icon} name="bell" />${
            count > 0 &&
            html`<span class="unread" aria-hidden="true">
            ${count > 99 ? '99+' : count}</span>`
          }<//>
        <${Go} as=${as} to="preferences" aria-label="Preferences" title="Preferences"
          aria-current=${place === 'preferences' ? 'page' : undefined}><${Icon} name="gear" /><//>
      </nav>`;
}

export function Pane({ as, place, children }) {
  const person = PERSONAS[as];
  const body = useRef(null);
  useEffect(() => {
    if (body.current) body.current.scrollTop = 0;
  }, [place]);
  return html`<section class="pane" aria-label=${`${person.name}, ${person.role.toLowerCase()}`}>
    <header class="pane-head"><${Avatar} of=${person} />
      <div class="pane-who"><strong>${person.fullName || person.claims.name}</strong><span class="fine">${person.role}
        <span class="pane-about"> · ${person.about}</span></span></div>
      ${person.claims && as !== PLATFORM.key && html`<${Pages} as=${as} place=${place} />`}</header>
    <div class="pane-body" ref=${body}>${children}</div></section>`;
}

const KINDS = {
  scheduled: ['calendar', 'New class'],
  updated: ['edit', 'Class changed'],
  cancelled: ['close', 'Class cancelled'],
  uninvited: ['close', 'No longer invited'],
  reminder: ['clock', 'Class starts soon'],
  live: ['video', 'Live now'],
  recording_ready: ['play', 'Recording ready'],
  reconnect_zoom: ['warn', 'Connect Zoom again'],
  host_not_connected: ['warn', 'Connect Zoom for this class'],
  meeting_deleted: ['warn', 'Deleted at Zoom'],
  meeting_missing: ['warn', 'No meeting yet'],
  mail_returned: ['warn', 'Mails came back'],
};

function NoticeItem({ of, onOpen, onAct }) {
  const [icon, word] = KINDS[of.kind] || ['bell', of.kind.replaceAll('_', ' ')];
  const label = of.title ? `${word}: ${of.title}` : word;
  return html`<li class=${of.read_at ? 'read' : 'new'}>
    <span class="notice-icon"><${Icon} name=${icon} /></span>
    <div><button type="button" class="notice-open" onClick=${onOpen}>
        ${word}${of.title && html`: <bdi>${of.title}</bdi>`}</button>
      ${of.starts_at && html`<p>${day(of.starts_at, HERE)}, ${hour(of.starts_at, HERE)}</p>`}
      <p class="fine"><time datetime=${of.created_at}>${stamp(of.created_at, HERE)}</time>
        ${!of.read_at && html`${' '}<${Badge} tone="info">New<//>`}</p></div>
    <div class="notice-actions">
      ${
        !of.read_at &&
        html`<${Button} kind="quiet" small icon="check" label=${`Mark as read: ${label}`}
          onClick=${() => onAct(of, 'read', 'Mark a notification as read')} />`
      }
      <${Button} kind="quiet" small icon="close" label=${`Dismiss: ${label}`}
        onClick=${() => onAct(of, 'dismiss', 'Dismiss a notification')} /></div></li>`;
}

export function Notices({ as }) {
  const list = useLoad(`notices ${as}`, () => api(as).get('/v1/me/notifications?limit=50'));
  /** @type {(notice: any, what: 'read' | 'dismiss', label: string, done?: string) => Promise<any>} */
  const act = (notice, what, label, done) =>
    click(label, () => api(as).post(`/v1/me/notifications/${notice.id}/${what}`), { done });
  const open = async (notice) => {
    if (!notice.read_at) await act(notice, 'read', 'Mark a notification as read');
    if (notice.session_id) go(as, `classes/${notice.session_id}`);
    else if (notice.kind === 'reconnect_zoom') go(as, 'classes');
  };
  return html`<${Heading} as=${as}>Notifications<//>
    <${Loaded} of=${list} height=${68}>${(page) =>
      page.items.length
        ? html`<ul class="notices">
      ${page.items.map(
        (notice) => html`<${NoticeItem} key=${notice.id} of=${notice} onOpen=${() => open(notice)} onAct=${act} />`,
      )}</ul>`
        : html`<${Empty} icon="bell" title="No notifications">News about your classes appears here.<//>`}<//>`;
}

export function Preferences({ as }) {
  const held = useLoad(`preferences ${as}`, () => api(as).get('/v1/me/notification-preferences'));
  // A value switched here overrides the loaded one, because an earlier read may still be in progress.
  const [wanted, setWanted] = useState({});
  const turn = async (channel, on) => {
    setWanted((before) => ({ ...before, [channel]: on }));
    const saved = await click(
      'Change preferences',
      () =>
        api(as).put('/v1/me/notification-preferences', {
          live_session: { ...held.data.live_session, ...wanted, [channel]: on },
        }),
      { done: on ? 'Switched on.' : 'Switched off.' },
    );
    setWanted(saved ? saved.live_session : {});
  };
  return html`<${Heading} as=${as}>Preferences<//>
    <${Loaded} of=${held} lines=${2}>${({ live_session }) => {
      const of = { ...live_session, ...wanted };
      return html`<div class="card form-card">
      <h3>Live classes</h3>
      <${Switch} label="E-mail" hint=${`Invitations, changes and reminders to ${PEOPLE[as].claims.email}`}
        checked=${of.email} onChange=${(on) => turn('email', on)} />
      <${Switch} label="On the platform" hint="The same as notifications on the platform" checked=${of.in_app}
        onChange=${(on) => turn('in_app', on)} /></div>`;
    }}<//>`;
}
