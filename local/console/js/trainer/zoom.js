// The trainer's Zoom account: connecting it, what it lacks, taking it back.
import { html } from '../ui.js';
import { api } from '../api.js';
import { click } from '../cost.js';
import { changed, useLoad } from '../load.js';
import { ask, say, tell } from '../notes.js';
import { stamp, HERE } from '../time.js';
import { Badge, Button, Loaded, Note } from '../parts/basic.js';

/** Where the page in the consent window says what Zoom answered. */
const CHANNEL = 'zoom-consent';

export function useConnection(as) {
  return useLoad(`connection ${as}`, () => api(as).get('/v1/zoom/connection'));
}

/**
 * Sends the trainer to Zoom's consent page in a window of its own, so that this page and what is half filled in on it
 * stay. The window is opened at once, while the click still allows it, and led to Zoom when the address is known.
 */
export async function connect(as) {
  const consent = window.open('', 'zoom-consent', 'popup,width=560,height=760');
  const begun = await click('Begin to connect Zoom', () => api(as).post('/v1/zoom/authorize', {
    redirect_uri: `${location.origin}/callback`,
  }));
  if (!begun) { consent?.close(); return; }
  sessionStorage.setItem('connecting', as);
  if (!consent) { location.assign(begun.authorize_url); return; }
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = ({ data }) => {
    channel.close();
    finish(as, new URLSearchParams(data));
  };
  consent.location.replace(begun.authorize_url);
}

/** Finishes with what Zoom sent back. */
export async function finish(as, query) {
  if (query.get('error')) {
    tell({ title: 'Zoom was not connected', message: 'Zoom says that access was denied. Nothing has changed.', code: query.get('error') });
    return;
  }
  const done = await click('Finish connecting Zoom', () => api(as).post('/v1/zoom/connect', {
    code: query.get('code'), state: query.get('state'),
  }));
  if (done) say(`Zoom is connected as ${done.zoom_email}.`);
  changed();
}

/**
 * On the page that Zoom sends the browser back to. In the consent window, hands the answer to the page that opened it
 * and closes; answers whether that was so. Where windows are not allowed, the page itself goes on here.
 */
export function returned() {
  if (location.pathname !== '/callback') return false;
  const query = location.search.slice(1);
  if (window.name === 'zoom-consent') {
    new BroadcastChannel(CHANNEL).postMessage(query);
    window.close();
    return true;
  }
  history.replaceState(null, '', `/${location.hash || '#/tara/classes'}`);
  const as = sessionStorage.getItem('connecting') || 'tara';
  finish(as, new URLSearchParams(query));
  return false;
}

async function disconnect(as) {
  const sure = await ask({
    title: 'Disconnect Zoom?',
    text: 'The grant is taken back at Zoom. Your classes stay, but they cannot be changed or started from here until you connect again.',
    yes: 'Disconnect',
    no: 'Stay connected',
  });
  if (sure) await click('Disconnect Zoom', () => api(as).delete('/v1/zoom/connection'), { done: 'Zoom is disconnected.' });
}

export function ZoomCard({ as, connection }) {
  return html`<section class="zoom-card" aria-label="Zoom account"><${Loaded} of=${connection} lines=${1} height=${58}>${(of) => {
    if (of.status === 'not_connected') {
      return html`<${Note} tone="info" icon="video" title="Connect your Zoom account">
        <p>Your classes meet under your own Zoom account. You are sent to Zoom to agree, and can take it back at any time.</p>
        <${Button} kind="primary" onClick=${() => connect(as)}>Connect Zoom<//><//>`;
    }
    if (of.status === 'reauth_required') {
      return html`<${Note} tone="warn" title="Zoom wants you to connect again">
        <p>Zoom does not accept the grant${of.zoom_email ? ` of ${of.zoom_email}` : ''} any more. Until you reconnect, classes cannot be scheduled, changed or started.</p>
        <${Button} kind="primary" onClick=${() => connect(as)}>Reconnect Zoom<//><//>`;
    }
    return html`${of.missing_scopes.length > 0 && html`<${Note} tone="warn" title="Zoom has not allowed everything">
        <p>What needs these is refused until you reconnect and leave them ticked:</p>
        <ul class="scopes">${of.missing_scopes.map((scope) => html`<li key=${scope}><code>${scope}</code></li>`)}</ul>
        <${Button} kind="primary" small onClick=${() => connect(as)}>Reconnect Zoom<//><//>`}
      <div class="zoom-line"><${Badge} tone="good" icon="check">Zoom connected<//>
        <span class="zoom-who">${of.zoom_email} <span class="fine">since <time datetime=${of.connected_at}>${stamp(of.connected_at, HERE)}</time></span></span>
        <${Button} kind="quiet" small onClick=${() => disconnect(as)}>Disconnect<//></div>`;
  }}<//></section>`;
}
