// The room, built on the response of `POST /v1/sessions/{id}/join`, or of `POST /v1/guest/join` for the holder of a
// guest link. It is simulated on the local stack. With real credentials the page loads Zoom's Meeting SDK.
import { access } from './access.js';
import { html, render, useEffect, useLayoutEffect, useRef, useState } from '../ui.js';
import { useLoad } from '../load.js';
import { explainWith } from '../notes.js';
import { Button, Icon, Passcode } from '../parts/basic.js';
import { Text } from '../parts/form.js';
import { translateLabels } from '../parts/labels.js';
import { Notes, Question } from '../parts/layers.js';
import { Bar } from './bar.js';
import { useClient } from './client.js';
import { explain } from './errors.js';
import { DeviceCheck } from './devices.js';
import { useJoin } from './join.js';
import { useIsWide } from './layout.js';
import { Countdown, Loading, Lobby, begin } from './lobby.js';
import { Announcer, PollPanel, isUnanswered, usePolls } from './polls.js';
import { isSupported, savesData } from './sdk.js';
import { SimulatedRoom, hasRealKey } from './simulated.js';
import { LANGUAGES, direction, words } from './words.js';

const query = new URLSearchParams(location.search);
const { as, isGuest } = access;
/** The interval of reading the class: while the page waits for a change, and otherwise. */
const WAITING_MS = 5_000;
const INSIDE_MS = 15_000;
/** Where people go back to. Guests have no classes here. */
const BACK = isGuest ? null : `/#/${as}/classes`;

function useLanguage() {
  const [language, setLanguage] = useState(
    LANGUAGES[query.get('lang')] ? query.get('lang') : localStorage.getItem('language') || 'en',
  );
  // Set the direction before the first paint.
  useLayoutEffect(() => {
    document.documentElement.lang = language;
    document.documentElement.dir = direction(language);
    localStorage.setItem('language', language);
    translateLabels(words(language));
    explainWith((problem) => explain(language, problem));
  }, [language]);
  return [language, setLanguage];
}

/** Loads Zoom's client while somebody is in the lobby of a class at Zoom. */
function usePreload(client, session) {
  const isSoon = session && session.provider === 'zoom' && ['open', 'waiting_for_host'].includes(session.join?.state);
  useEffect(() => {
    if (!isSoon || savesData() || !isSupported()) return;
    hasRealKey().then(
      (isReal) => isReal && client.load(),
      () => {},
    );
  }, [isSoon]);
}

function Room() {
  const [language, setLanguage] = useLanguage();
  const [name, setName] = useState('');
  const [chosen, setChosen] = useState(null);
  const page = useRef(null);
  const stage = useRef(null);
  const word = words(language);
  const isWide = useIsWide(page);
  const [interval, setIntervalMs] = useState(WAITING_MS);
  const session = useLoad(access.key, access.session, { every: interval });
  const disclaimer = useLoad(`disclaimer ${access.key}`, access.disclaimer, { every: 0 });
  const notice = session.data && 'disclaimer' in session.data ? session.data.disclaimer : disclaimer.data;
  const owner = Boolean(session.data && 'meeting' in session.data && session.data.meeting);
  /** @type {{current: (dropped: boolean) => void}} */
  const ended = useRef(() => {});
  const client = useClient(stage, (dropped) => ended.current(dropped));
  const joining = useJoin({ client, name, language, session: session.data });
  const { state } = joining;
  ended.current = joining.end;
  const polls = usePolls(as, session.data?.id, !isGuest && session.data?.status);
  const showsPolls = !isGuest && (chosen ?? isWide);
  usePreload(client, session.data);

  useEffect(() => {
    const isSettled = session.data?.status === 'live' && ['inside', 'zoom'].includes(state.at);
    setIntervalMs(isSettled ? INSIDE_MS : WAITING_MS);
  }, [session.data?.status, state.at]);
  useEffect(() => {
    const part = { waiting: word('waiting'), left: word('left'), dropped: word('dropped') }[state.at];
    if (session.data) document.title = [part, session.data.title, 'Live Classes'].filter(Boolean).join(' · ');
  }, [session.data?.title, state.at, language]);

  // The list's Join is the only click of a person who may join now. The address forgets it, so that a reload does not
  // join again.
  const joinsNow = useRef(query.get('join') === 'now');
  useEffect(() => {
    if (!joinsNow.current || !session.data) return;
    joinsNow.current = false;
    history.replaceState(null, '', `${location.pathname}?as=${as}`);
    if (['open', 'waiting_for_host'].includes(session.data.join.state)) joining.join();
  }, [session.data]);

  useEffect(() => {
    // The lobby's heading had the focus and is gone.
    if (state.at === 'zoom') stage.current.querySelector('iframe')?.focus();
  }, [state.at]);

  const toggle = () => setChosen(!showsPolls);
  const close = () => {
    setChosen(false);
    page.current.querySelector('.poll-button button').focus();
  };
  const shared = { session: session.data, joining, client, owner, language, word };
  return html`<div class=${`room at-${state.at}${showsPolls && isWide ? ' with-polls' : ''}`} ref=${page}>
    <${Bar} title=${session.data?.title} language=${language} onLanguage=${setLanguage} word=${word}
      polls=${!isGuest && { isShown: showsPolls, isWaiting: isUnanswered(polls, owner), onToggle: toggle }} />
    <main class="room-main" id="main">
      <div class="stage" ref=${stage}></div>
      ${
        session.problem &&
        !session.data &&
        html`<${Unreadable} problem=${session.problem} language=${language} word=${word} />`
      }
      ${session.data && html`<${Part} ...${shared} name=${name} onName=${setName} />`}
    </main>
    ${
      session.data &&
      !isGuest &&
      html`<${PollPanel} as=${as} session=${session.data} polls=${polls} owner=${owner} language=${language}
        word=${word} hidden=${!showsPolls} isSheet=${!isWide} onClose=${close} />`
    }
    ${notice && html`<footer class="room-disclaimer"><bdi>${notice}</bdi></footer>`}
    <${Announcer} polls=${polls} owner=${owner} word=${word} /><${Notes} /><${Question} /></div>`;
}

/** The class cannot be read. For a guest, an unknown token is an old link. */
function Unreadable({ problem, language, word }) {
  const isOld = isGuest && problem.status === 404;
  const title = word(isOld ? 'linkOver' : 'failed');
  return html`<${Lobby} icon="warn" title=${title} text=${isOld ? word('linkOverMore') : ''} problem=${problem}
    language=${language} word=${word} back=${BACK} />`;
}

/** The middle of the room in each state. */
function Part({ session, joining, client, owner, language, word, name, onName }) {
  const { state, join } = joining;
  const shared = { language, word, back: BACK };
  const byLink =
    session.provider === 'zoom' &&
    html`<${Button} kind=${isSupported() ? 'quiet' : 'primary'} icon="link" busy=${state.at === 'joining'}
      onClick=${() => join({ prefer: 'link' })}>${word('byLink')}<//>`;
  const again = html`<${Button} kind="primary" icon="video" onClick=${() => join()}>${word('rejoin')}<//>`;
  const isCancelled = session.status === 'cancelled';
  switch (state.at) {
    case 'waiting':
      return html`<${Lobby} icon="clock" title=${word('waiting')} text=${word('waitingMore')} ...${shared}>
        <span class="waiting-dots" aria-hidden="true"><i></i><i></i><i></i></span>
        <${Loading} client=${client} word=${word} /><${DeviceCheck} word=${word} />${byLink}<//>`;
    case 'link':
      return html`<${ByLink} session=${session} pass=${state.pass} join=${join} ...${shared} />`;
    case 'inside':
      return html`<${SimulatedRoom} pass=${state.pass} me=${state.me} word=${word} onLeft=${joining.leave} />`;
    case 'zoom':
      return null;
    case 'dropped':
      return html`<${Lobby} icon="warn" title=${word('dropped')} text=${word('droppedMore')} ...${shared}>
        <span class="waiting-dots" aria-hidden="true"><i></i><i></i><i></i></span>${again}
        <${Button} kind="quiet" onClick=${() => joining.leave(false)}>${word('stayOut')}<//>${byLink}<//>`;
    case 'left':
      return html`<${Lobby} icon=${state.ended ? 'check' : 'leave'} title=${word(state.ended ? 'ended' : 'left')}
        text=${word(state.ended ? 'endedMore' : 'leftMore')} ...${shared}>
        ${!state.ended && html`${again}${byLink}`}<//>`;
    default:
      if (isCancelled || (session.status === 'ended' && !owner))
        return html`<${Lobby} icon="check" title=${word('ended')} text=${word('endedMore')} ...${shared} />`;
      return html`<${Entrance} session=${session} joining=${joining} client=${client} owner=${owner} name=${name}
        onName=${onName} byLink=${byLink} ...${shared} />`;
  }
}

function Entrance({ session, joining, client, owner, name, onName, byLink, language, word, back }) {
  const { state, join } = joining;
  const isBusy = state.at === 'joining';
  // A guest opens the link long before the class. Members open the room when they may join.
  const isEarly = isGuest && session.join?.state === 'too_early';
  const how = isGuest ? word('joinAsGuest') : word('joinAs', { name: access.name });
  const text = isEarly ? begin(session, language) : how;
  const isAtZoom = session.provider === 'zoom';
  const button = isBusy ? word('joining') : word(owner ? 'start' : 'join');
  const here = html`<${Button} kind=${isAtZoom && !isSupported() ? 'quiet' : 'primary'} icon="video" busy=${isBusy}
    onClick=${() => join()}>${button}<//>`;
  return html`<${Lobby} icon="video" title=${session.title} text=${text} problem=${state.problem} language=${language}
      word=${word} back=${back}>
    ${isEarly && html`<${Countdown} until=${session.join.opens_at} language=${language} word=${word} />`}
    ${
      !isEarly &&
      isGuest &&
      html`<${Text} label=${word('yourName')} value=${name} onInput=${onName} maxlength=${200} dir="auto"
        autocomplete="name" />`
    }
    ${
      !isEarly &&
      html`${isAtZoom && !isSupported() ? html`<${Limits} word=${word} />${byLink}${here}` : here}
      <${Loading} client=${client} word=${word} />
      ${state.problem && isAtZoom && html`<p>${word('tryLink')}</p>`}
      ${isAtZoom && isSupported() && html`${byLink}<${DeviceCheck} word=${word} /><${Limits} word=${word} />`}`
    }<//>`;
}

/** What this browser cannot do in the class. */
function Limits({ word }) {
  if (!isSupported()) return html`<p class="fine limits">${word('unsupported')}</p>`;
  return !globalThis.crossOriginIsolated && html`<p class="fine limits">${word('notIsolated')}</p>`;
}

function ByLink({ session, pass, join, language, word, back }) {
  return html`<${Lobby} icon="link" title=${session.title} text=${word('linkMore')} language=${language} word=${word}
      back=${back}>
    <a class="button primary" href=${pass.join_url} target="_blank" rel="noopener noreferrer"><${Icon} name="link" />
      <span>${word('openLink')}</span></a>
    ${pass.passcode && html`<p>${word('passcode')} <${Passcode} code=${pass.passcode} /></p>`}
    ${
      session.provider === 'zoom' &&
      isSupported() &&
      html`<${Button} kind="quiet" icon="video" onClick=${() => join()}>${word('bySignature')}<//>`
    }<//>`;
}

/** What a guest sees who has left the class, or has opened the page without a link. */
function WithoutLink() {
  const [language, setLanguage] = useLanguage();
  const word = words(language);
  return html`<div class="room at-left">
    <${Bar} title="Live Classes" language=${language} onLanguage=${setLanguage} word=${word}
      polls=${false} /><main class="room-main" id="main">
    <${Lobby} icon="leave" title=${word('left')} text=${word('leftGuest')} language=${language} word=${word} />
    </main></div>`;
}

render(isGuest && !access.hasToken ? html`<${WithoutLink} />` : html`<${Room} />`, document.getElementById('app'));
