// The room, built on the response of `POST /v1/sessions/{id}/join`, or of `POST /v1/guest/join` for the holder of a guest
// link. It is simulated on the local stack. With real credentials the page loads Zoom's Meeting SDK.
import { access } from './access.js';
import { html, render, useEffect, useLayoutEffect, useRef, useState } from '../ui.js';
import { stack } from '../api.js';
import { useLoad } from '../load.js';
import { readClock } from '../time.js';
import { Button, Icon, Passcode } from '../parts/basic.js';
import { Text } from '../parts/form.js';
import { Notes, Question } from '../parts/layers.js';
import { ThemeSwitch } from '../parts/theme.js';
import { LANGUAGES, direction, words } from './words.js';
import { SimulatedRoom, enter } from './simulated.js';
import { PollPanel } from './polls.js';
import { openZoom } from './zoom-sdk.js';

const query = new URLSearchParams(location.search);
const { as, isGuest } = access;
/** The polling interval while waiting for the trainer. */
const LOOK_EVERY_MS = 3_000;

/** Lets the console in the other window reload. */
export function announce() {
  const channel = new BroadcastChannel('live-classes');
  channel.postMessage('changed');
  channel.close();
}

function Room() {
  const [language, setLanguage] = useState(
    LANGUAGES[query.get('lang')] ? query.get('lang') : localStorage.getItem('language') || 'en',
  );
  const [state, setState] = useState({ at: 'lobby' });
  const [polls, setPolls] = useState(!isGuest);
  const [name, setName] = useState('');
  const [full, setFull] = useState(false);
  const page = useRef(null);
  const word = words(language);
  const session = useLoad(access.key, access.session, { every: 5000 });
  const owner = Boolean(session.data?.meeting);

  useEffect(() => {
    readClock().catch(() => {});
  }, []);
  // Set the direction before the first paint.
  useLayoutEffect(() => {
    document.documentElement.lang = language;
    document.documentElement.dir = direction(language);
    localStorage.setItem('language', language);
  }, [language]);
  useEffect(() => {
    if (session.data) document.title = `${session.data.title} · Live Classes`;
  }, [session.data?.title]);
  useEffect(() => {
    const turned = () => setFull(Boolean(document.fullscreenElement));
    document.addEventListener('fullscreenchange', turned);
    return () => document.removeEventListener('fullscreenchange', turned);
  }, []);

  const join = async (prefer) => {
    setState({ at: 'joining' });
    const clickedAt = performance.now();
    try {
      const options = { ...(prefer === 'link' && { prefer }), ...(isGuest && name.trim() && { name: name.trim() }) };
      const [pass, config] = await Promise.all([access.join(options), stack.get('/local/config')]);
      if (pass.mode === 'link') setState({ at: 'link', pass });
      else if (pass.sdk_key === config.secrets.zoom_sdk_key)
        setState({ at: 'inside', pass, me: await enter(pass, access.email) });
      else {
        setState({ at: 'zoom', pass });
        await openZoom(pass, language);
      }
      announce();
      // Nobody waits for the report, and a lost one changes nothing.
      if (pass.mode !== 'link') access.report(Math.round(performance.now() - clickedAt)).catch(() => {});
    } catch (problem) {
      const waits = problem.code === 'waiting_for_host' || problem.waits;
      setState(waits ? { at: 'waiting' } : { at: 'lobby', problem });
    }
  };
  useEffect(() => {
    if (state.at !== 'waiting') return undefined;
    const timer = setTimeout(join, LOOK_EVERY_MS);
    return () => clearTimeout(timer);
  }, [state]);

  const turnFull = () =>
    (document.fullscreenElement ? document.exitFullscreen() : page.current.requestFullscreen()).catch(() => {});
  // The way in for browsers and networks in which Zoom's client for the web fails.
  const byLink =
    session.data?.provider === 'zoom' &&
    html`<${Button} kind="quiet" icon="link" busy=${state.at === 'joining'} onClick=${() => join('link')}>${word('byLink')}<//>`;
  // A guest opens the link long before the class. Members open the room when they may join.
  const early = isGuest && session.data?.join.state === 'too_early';
  const over = session.data && (session.data.status === 'cancelled' || (session.data.status === 'ended' && !owner));
  return html`<div class=${`room at-${state.at}${polls ? ' with-polls' : ''}`} ref=${page}>
    <header class="room-bar"><img src="/console/icon.svg" alt="" width="26" height="26" /><h1>${session.data?.title || ' '}</h1>
      <div class="bar-end">
        <label class="language"><span class="hidden">${word('language')}</span><select value=${language} onChange=${(event) => setLanguage(event.target.value)}>
          ${Object.entries(LANGUAGES).map(([key, name]) => html`<option key=${key} value=${key} lang=${key} selected=${key === language}>${name}</option>`)}</select></label>
        ${!isGuest && html`<${Button} kind="quiet" icon="poll" label=${polls ? word('hidePolls') : word('showPolls')} aria-pressed=${polls} onClick=${() => setPolls(!polls)} />`}
        <${Button} kind="quiet" icon="expand" label=${full ? word('leaveFullscreen') : word('fullscreen')} aria-pressed=${full} onClick=${turnFull} /><${ThemeSwitch} /></div></header>
    <main class="room-main" id="main">
      ${session.problem && !session.data && html`<${Lobby} icon="warn" title=${isGuest && session.problem.status === 404 ? word('linkOver') : session.problem.title} text=${isGuest && session.problem.status === 404 ? word('linkOverMore') : session.problem.message} code=${session.problem.code} word=${word} />`}
      ${
        session.data &&
        (state.at === 'lobby' || state.at === 'joining') &&
        html`<${Lobby} icon=${over ? 'check' : 'video'} title=${over ? word('ended') : session.data.title}
        text=${over ? word('endedMore') : early ? opening(session.data, word, language) : isGuest ? word('joinAsGuest') : word('joinAs', { name: access.name })} problem=${state.problem} word=${word}>
        ${!over && !early && isGuest && html`<${Text} label=${word('yourName')} value=${name} onInput=${setName} maxlength=${200} dir="auto" autocomplete="name" />`}
        ${!over && !early && html`<${Button} kind="primary" icon="video" busy=${state.at === 'joining'} onClick=${join}>${state.at === 'joining' ? word('joining') : owner ? word('start') : word('join')}<//>${byLink}`}<//>`
      }
      ${state.at === 'waiting' && html`<${Lobby} icon="clock" title=${word('waiting')} text=${word('waitingMore')} word=${word}><span class="waiting-dots" aria-hidden="true"><i></i><i></i><i></i></span>${byLink}<//>`}
      ${
        state.at === 'link' &&
        html`<${Lobby} icon="link" title=${session.data?.title} text=${word('linkMore')} word=${word}>
        <a class="button primary" href=${state.pass.join_url} target="_blank" rel="noopener noreferrer"><${Icon} name="link" /><span>${word('openLink')}</span></a>
        ${state.pass.passcode && html`<p>${word('passcode')} <${Passcode} code=${state.pass.passcode} /></p>`}<//>`
      }
      ${
        state.at === 'inside' &&
        html`<${SimulatedRoom} pass=${state.pass} me=${state.me} word=${word}
        onLeft=${(ended) => {
          setState({ at: 'left', ended });
          announce();
        }} />`
      }
      ${state.at === 'zoom' && html`<div id="zoom-is-here"></div>`}
      ${
        state.at === 'left' &&
        html`<${Lobby} icon=${state.ended ? 'check' : 'leave'} title=${word(state.ended ? 'ended' : 'left')} text=${word(state.ended ? 'endedMore' : 'leftMore')} word=${word}>
        ${!state.ended && html`<${Button} kind="primary" icon="video" onClick=${join}>${word('rejoin')}<//>${byLink}`}<//>`
      }
    </main>
    ${polls && session.data && html`<${PollPanel} as=${as} session=${session.data} owner=${owner} word=${word} />`}
    <${Notes} /><${Question} /></div>`;
}

/** When the class begins and from when a guest can join, in the guest's own time zone. */
function opening({ starts_at: starts, join }, word, language) {
  const shown = (time, style) => new Intl.DateTimeFormat(language, style).format(new Date(time));
  return `${shown(starts, { dateStyle: 'full', timeStyle: 'short' })}. ${word('tooEarly', { time: shown(join.opens_at, { timeStyle: 'short' }) })}`;
}

function Lobby({ icon, title, text, problem, code, word, children }) {
  const heading = useRef(null);
  useEffect(() => heading.current?.focus(), [title]);
  const [what, why] =
    problem?.code === 'no_licence'
      ? [word('noLicence'), word('noLicenceMore')]
      : [problem?.title || word('failed'), problem?.message];
  return html`<section class="lobby"><span class="lobby-icon"><${Icon} name=${icon} size=${30} /></span><h2 tabindex="-1" ref=${heading}>${title}</h2><p role="status">${text}</p>
    ${(problem || code) && html`<div class="note bad" role="alert"><${Icon} name="warn" /><div>${problem && html`<strong>${what}</strong><p>${why}</p>`}<p class="fine">${word('code')} <code>${problem?.code || code}</code></p></div></div>`}
    ${children}${!isGuest && html`<p><a class="quiet-link" href=${`/#/${as}/classes`}>${word('back')}</a></p>`}</section>`;
}

/** What a guest sees who has left the class, or has opened the page without a link. */
function WithoutLink() {
  const word = words(localStorage.getItem('language') || 'en');
  return html`<div class="room at-left"><main class="room-main" id="main"><${Lobby} icon="leave" title=${word('left')} text=${word('leftGuest')} word=${word} /></main></div>`;
}

render(isGuest && !access.hasToken ? html`<${WithoutLink} />` : html`<${Room} />`, document.getElementById('app'));
