// Sent mails as text, as calendar entry, and as raw bytes.
import { html, useState } from '../ui.js';
import { call, stack } from '../api.js';
import { click } from '../cost.js';
import { useLoad } from '../load.js';
import { counted } from '../plural.js';
import { go, href } from '../route.js';
import { stamp, HERE } from '../time.js';
import { Badge, Button, CopyButton, Empty, Loaded, Segments } from '../parts/basic.js';
import { Search, matches } from '../parts/search.js';

const KINDS = {
  cancelled: 'bad',
  uninvited: 'bad',
  reminder: 'warn',
  scheduled: 'good',
  updated: 'info',
  resent: 'info',
};

/** The reports of the simulated SES about a mail. */
const RETURNS = [
  ['hard', 'Bounce'],
  ['soft', 'Soft bounce'],
  ['complaint', 'Complaint'],
];

export function Mail({ id }) {
  const [search, setSearch] = useState('');
  const list = useLoad('mail', async () => (await stack.get('/local/mail')).items.reverse());
  return html`<${Loaded} of=${list} height=${60}>${(items) => {
    if (!items.length)
      return html`<${Empty} icon="mail" title="No mail yet">No mail leaves this machine. Invitations, changes,
        reminders and cancellations appear here.<//>`;
    const found = items.filter((mail) => matches(`${mail.to} ${mail.subject} ${mail.kind || ''}`, search));
    return html`<div class="split${id ? ' chosen' : ''}"><div class="finder">
        <${Search} label="Search mails" value=${search} onInput=${setSearch} />
        <p class="fine" role="status">${search && `${counted(found.length, 'mail')} found`}</p>
        <ul class="mails" aria-label="Mails">
          ${found.map((mail) => html`<${Envelope} key=${mail.id} of=${mail} chosen=${mail.id === id} />`)}</ul></div>
      <div class="reader">${
        id ? html`<${Letter} key=${id} id=${id} />` : html`<${Empty} icon="mail" title="Choose a mail" />`
      }</div></div>`;
  }}<//>`;
}

function Envelope({ of, chosen }) {
  const place = `mail/${of.id}`;
  return html`<li><a href=${href('scenes', place)} aria-current=${chosen ? 'true' : undefined}
    onClick=${(event) => {
      event.preventDefault();
      go('scenes', place);
    }}>
    <span class="mail-to">${of.to}</span><time class="fine" datetime=${of.sent_at}>${stamp(of.sent_at, HERE)}</time>
    <span class="mail-subject"><bdi>${of.subject}</bdi></span>
    ${of.kind && html`<${Badge} tone=${KINDS[of.kind] || 'quiet'}>${of.kind.replaceAll('_', ' ')}<//>`}</a></li>`;
}

function Letter({ id }) {
  const [as, setAs] = useState('page');
  const mail = useLoad(`mail ${id}`, () => stack.get(`/local/mail/${id}/parts`), { every: 0 });
  const raw = useLoad(
    `raw ${id}`,
    async () => (await call({ path: `/local/mail/${id}`, text: true, background: true })).data,
    { every: 0 },
  );
  return html`<${Loaded} of=${mail} height=${200}>${(of) => {
    const views = [
      of.has_html && ['page', 'Rendered'],
      of.text && ['text', 'Plain text'],
      of.calendar && ['calendar', 'Calendar entry'],
      ['raw', 'Raw'],
    ].filter(Boolean);
    const view = views.some(([key]) => key === as) ? as : views[0][0];
    const source = { text: of.text, calendar: of.calendar, raw: raw.data || '' }[view];
    return html`<article class="letter card" aria-label=${of.subject}><header><h3>${of.subject}</h3>
        <p class="fine">From ${of.from} to ${of.to.join(', ')}<br />${stamp(of.sent_at, HERE)} by ${of.service}</p>
        <${Segments} label="Show the mail" value=${view} onChange=${setAs} of=${views} />
        ${of.service === 'ses' && html`<${Returns} id=${id} />`}</header>
      ${
        view === 'page'
          ? html`<iframe src=${`/local/mail/${id}/html`} title=${`The mail “${of.subject}”, rendered`} sandbox="">
            </iframe>`
          : html`<div class="source"><${CopyButton} text=${source} what="Text" /><pre tabindex="0"
            aria-label="The mail’s text">${source}</pre></div>`
      }</article>`;
  }}<//>`;
}

function Returns({ id }) {
  const report = (kind, label) =>
    click(label, () => stack.post(`/local/mail/${id}/bounce`, { kind }), {
      done: `SES reported: ${label.toLowerCase()}.`,
    });
  return html`<div class="acts" role="group" aria-label="Let the mail come back">${RETURNS.map(
    ([kind, label]) => html`<${Button} key=${kind} small onClick=${() => report(kind, label)}>${label}<//>`,
  )}</div>`;
}
