// The trainer's Zoom connection: connect, missing permissions, disconnect.
import { html } from '../ui.js';
import { api } from '../api.js';
import { click } from '../cost.js';
import { changed, useLoad } from '../load.js';
import { ask, say, tell } from '../notes.js';
import { reasonText } from '../hosts.js';
import { stamp, HERE } from '../time.js';
import { Badge, Button, Loaded, Note } from '../parts/basic.js';

/** The channel on which the consent window passes Zoom's response. */
const CHANNEL = 'zoom-consent';

export function useConnection(as) {
  return useLoad(`connection ${as}`, () => api(as).get('/v1/zoom/connection'));
}

/**
 * Opens Zoom's consent page in a new window, so that this page and its form stay. The window is opened during the
 * click, because browsers block it later, and navigates when the address is known.
 */
export async function connect(as) {
  const consent = window.open('', 'zoom-consent', 'popup,width=560,height=760');
  const begun = await click('Start connecting Zoom', () =>
    api(as).post('/v1/zoom/authorize', {
      redirect_uri: `${location.origin}/callback`,
    }),
  );
  if (!begun) {
    consent?.close();
    return;
  }
  sessionStorage.setItem('connecting', as);
  if (!consent) {
    location.assign(begun.authorize_url);
    return;
  }
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = ({ data }) => {
    channel.close();
    finish(as, new URLSearchParams(data));
  };
  consent.location.replace(begun.authorize_url);
}

/** Finishes connecting with Zoom's code and state. */
export async function finish(as, query) {
  if (query.get('error')) {
    tell({
      title: 'Zoom was not connected',
      message: 'Access was denied at Zoom. Nothing changed.',
      code: query.get('error'),
    });
    return;
  }
  const done = await click('Finish connecting Zoom', () =>
    api(as).post('/v1/zoom/connect', {
      code: query.get('code'),
      state: query.get('state'),
    }),
  );
  if (done) say(`Zoom is connected as ${done.zoom_email}.`);
  changed();
}

/**
 * Runs on the redirect page. In the consent window, passes the response to the opener, closes the window and returns
 * true. Without a separate window, this page continues.
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
    text:
      'The permission is revoked at Zoom. Your classes stay, but you cannot change or start them until you connect ' +
      'again.',
    yes: 'Disconnect',
    no: 'Stay connected',
  });
  if (sure)
    await click('Disconnect Zoom', () => api(as).delete('/v1/zoom/connection'), { done: 'Zoom is disconnected.' });
}

/** The trainer's host in the platform's own Zoom account. The trainer connects nothing. */
function PlatformHost({ of }) {
  const { state, reason } = of.host;
  if (state === 'active') {
    return html`<div class="zoom-line"><${Badge} tone="good" icon="check">The platform hosts your classes<//>
      <span class="zoom-who">${of.zoom_email} <span class="fine">You need no Zoom login</span></span></div>`;
  }
  const [title, text] = {
    requested: [
      'Your host is being set up',
      'Within a few minutes, you can schedule classes in the platform’s Zoom account.',
    ],
    invited: [
      'Accept Zoom’s invitation',
      `Zoom has sent a mail to ${of.zoom_email}. When you have accepted the invitation, you can schedule classes.`,
    ],
    failed: ['Your host could not be set up', 'You cannot schedule classes until the platform has corrected it.'],
  }[state] || [
    'You have no host yet',
    'You cannot schedule classes until the platform has set up a Zoom user for you.',
  ];
  return html`<${Note} tone=${state === 'failed' ? 'warn' : 'info'} icon=${state === 'failed' ? 'warn' : 'video'}
    title=${title}>
    <p>The platform hosts your classes. ${text}</p>${reason && html`<p class="fine">${reasonText(reason)}</p>`}<//>`;
}

export function ZoomCard({ as, connection }) {
  return html`<section class="zoom-card" aria-label="Zoom account"><${Loaded} of=${connection} lines=${1} height=${58}>
    ${(of) => {
      if (of.status === 'platform') return html`<${PlatformHost} of=${of} />`;
      if (of.status === 'not_connected') {
        return html`<${Note} tone="info" icon="video" title="Connect your Zoom account">
        <p>Your classes use your own Zoom account. Zoom asks for your permission, and you can revoke it at any time.</p>
        <${Button} kind="primary" onClick=${() => connect(as)}>Connect Zoom<//><//>`;
      }
      if (of.status === 'reauth_required') {
        return html`<${Note} tone="warn" title="Connect Zoom again">
        <p>Zoom no longer accepts the connection${of.zoom_email ? ` of ${of.zoom_email}` : ''}.
          Reconnect to schedule, change or start classes.</p>
        <${Button} kind="primary" onClick=${() => connect(as)}>Reconnect Zoom<//><//>`;
      }
      return html`${
        of.missing_scopes.length > 0 &&
        html`<${Note} tone="warn" title="Zoom permissions are missing">
        <p>Some features need these permissions. Reconnect and keep them selected:</p>
        <ul class="scopes">${of.missing_scopes.map((scope) => html`<li key=${scope}><code>${scope}</code></li>`)}</ul>
        <${Button} kind="primary" small onClick=${() => connect(as)}>Reconnect Zoom<//><//>`
      }
      <div class="zoom-line"><${Badge} tone="good" icon="check">Zoom connected<//>
        <span class="zoom-who">${of.zoom_email} <span class="fine">since <time datetime=${of.connected_at}>
          ${stamp(of.connected_at, HERE)}</time></span></span>
        <${Button} kind="quiet" small onClick=${() => disconnect(as)}>Disconnect<//></div>`;
    }}<//></section>`;
}
