// The drawer with the last API calls and the cost of the last click.
import { html, useState } from './ui.js';
import { store, useStore } from './store.js';
import { calls, curl, token } from './api.js';
import { lastCost, money, units } from './cost.js';
import { OPERATIONS, PERSONAS } from './people.js';
import { Badge, Button, copy, Segments } from './parts/basic.js';
import { Search, matches } from './parts/search.js';
import { counted } from './plural.js';

const people = { ...PERSONAS, [OPERATIONS.key]: OPERATIONS };

export const drawer = store(false);

/** The line at the bottom of the page. It opens the drawer. */
export function CostLine() {
  const cost = useStore(lastCost);
  const words = cost?.calls
    ? html`<span>${counted(cost.calls, 'call')}</span>
      <span>${units(cost.reads)} read · ${units(cost.writes)} write units</span><span>${money(cost.dollars)}</span>`
    : html`<span>called no service</span>`;
  return html`<div class="cost-line"><button type="button" onClick=${() => drawer.set(true)}>
    ${
      cost ? html`<strong>${cost.label}</strong>${words}` : html`<span>The cost of the last click appears here</span>`
    }</button></div>`;
}

function Cost() {
  const cost = useStore(lastCost);
  if (!cost) return html`<p class="fine">No cost yet. Change something first.</p>`;
  return html`<p class="cost-sum"><strong>${cost.label}</strong> <span>${cost.calls} calls</span> <span>
    ${units(cost.reads)} read units</span> <span>${units(cost.writes)} write units</span> <span>${money(cost.dollars)}
      </span></p>
    ${cost.functions.map(
      (each) => html`<table class="cost-table" key=${each.name}><caption><code>${each.name}
        </code> ${each.invocations > 1 ? `× ${each.invocations}` : ''}<span class="fine">${money(each.dollars)}</span>
          </caption>
      <tbody>${each.calls.map(
        (of) => html`<tr key=${of.service + of.operation}><td>${of.service} <strong>${of.operation}</strong></td><td
          class="num">${of.times}</td>
        <td class="num">${of.reads ? `${units(of.reads)} r` : ''} ${of.writes ? `${units(of.writes)} w` : ''}</td>
          </tr>`,
      )}</tbody></table>`,
    )}
    <p class="fine">Includes events, webhooks and mails that followed. AWS list prices. Zoom calls are free but
      limited.</p>`;
}

function Call({ of }) {
  const [open, setOpen] = useState(false);
  const tone = of.status === null ? 'quiet' : of.status >= 400 || of.status === 0 ? 'bad' : 'good';
  const who = of.as ? people[of.as].name : 'stack';
  return html`<li class="call"><button type="button" class="call-line" aria-expanded=${open ? 'true' : 'false'}
    onClick=${() => setOpen(!open)}>
      <${Badge} tone=${tone}>${of.status ?? '…'}<//><span class="method">${of.method}</span><span class="path">
        ${of.path}</span><span class="fine">${who} · ${Math.round(of.took || 0)} ms</span></button>
    ${
      open &&
      html`<div class="call-body"><div class="call-part"><span>As curl</span><${Button} kind="quiet" small icon="copy"
        onClick=${async () => copy(curl(of, of.as && (await token(of.as))), 'Command copied.')}>
          Copy with token<//></div>
      <pre tabindex="0" aria-label="As curl">${curl(of)}</pre>
      ${
        of.body !== undefined &&
        html`<div class="call-part"><span>Request body</span></div><pre tabindex="0"
        aria-label="Request body">${JSON.stringify(of.body, null, 2)}</pre>`
      }
      ${
        of.answer &&
        html`<div class="call-part"><span>Response</span></div><pre tabindex="0" aria-label="Response">
        ${typeof of.answer === 'string' ? of.answer : JSON.stringify(of.answer, null, 2)}</pre>`
      }</div>`
    }</li>`;
}

/** What a search of the calls looks at. */
const searchText = ({ method, path, status, body, answer }) =>
  [method, path, status, JSON.stringify(body), JSON.stringify(answer)].join(' ');

export function Drawer() {
  const all = useStore(calls);
  const [which, setWhich] = useState('clicks');
  const [search, setSearch] = useState('');
  const shown = all
    .filter((each) => (which === 'local' ? !each.as : each.as && (which === 'all' || !each.background)))
    .filter((each) => matches(searchText(each), search));
  return html`<aside class="drawer" aria-label="API calls">
    <header><h2>API calls</h2><${Button} kind="quiet" icon="close" label="Close the drawer"
      onClick=${() => drawer.set(false)} /></header>
    <section aria-label="The last click"><h3>The last click</h3><${Cost} /></section>
    <section aria-label="Calls"><div class="drawer-filter"><h3>Calls</h3>
        <${Segments} label="Which calls" value=${which} onChange=${setWhich}
          of=${[['clicks', 'Clicks'], ['all', 'With reads'], ['local', 'Stack']]} /></div>
      <${Search} label="Search calls" value=${search} onInput=${setSearch} />
      <p class="fine" role="status">${search && `${counted(shown.length, 'call')} found`}</p>
      ${
        shown.length
          ? html`<ul class="calls">${shown.map((each) => html`<${Call} key=${each.n} of=${each} />`)}</ul>`
          : !search && html`<p class="fine">None yet.</p>`
      }</section></aside>`;
}
