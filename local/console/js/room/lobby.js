// The lobby: what somebody sees before, between and after the times in the class.
import { html, useEffect, useRef } from '../ui.js';
import { countdown, useNow } from '../time.js';
import { Icon } from '../parts/basic.js';
import { explain } from './errors.js';

export function Lobby({ icon, title, text, problem, language, word, children, back }) {
  const heading = useRef(null);
  useEffect(() => heading.current?.focus(), [title]);
  return html`<section class="lobby"><span class="lobby-icon"><${Icon} name=${icon} size=${30} /></span>
    <h2 tabindex="-1" ref=${heading}><bdi>${title}</bdi></h2><p role="status">${text}</p>
    ${problem && html`<${Trouble} problem=${problem} language=${language} word=${word} />`}
    ${children}${back && html`<p><a class="quiet-link" href=${back}>${word('back')}</a></p>`}</section>`;
}

/** An error in the reader's language, with its code for support. */
export function Trouble({ problem, language, word }) {
  const [title, next] = explain(language, problem);
  return html`<div class="note bad" role="alert"><${Icon} name="warn" />
    <div><strong>${title}</strong><p>${next}</p>
      <p class="fine">${word('code')} <code>${problem.code}</code></p></div></div>`;
}

/** How far Zoom's client is loaded. */
export function Loading({ client, word }) {
  if (client.phase === 'ready') return html`<p class="fine" role="status">${word('loaded')}</p>`;
  if (client.phase !== 'loading') return null;
  const { loaded = 0, total = 0 } = client.progress ?? {};
  const percent = total ? Math.floor((100 * loaded) / total) : 0;
  return html`<div class="loading"><label for="loading">${word('loading')}</label>
    <progress id="loading" max="100" value=${percent}></progress>
    ${total > 0 && html`<p class="fine">${word('loadingMore', { percent, size: Math.ceil(total / 1e6) })}</p>`}</div>`;
}

/** The time until a guest can join, by the server's clock. */
export function Countdown({ until, language, word }) {
  const left = new Date(until).getTime() - useNow(1000);
  if (left <= 0) return null;
  return html`<p class="countdown" role="timer">${word('opensIn', { time: countdown(left, language) })}</p>`;
}

/** When the class begins and from when a guest can join, in the guest's own time zone. */
export function opening({ starts_at: starts, join }, word, language) {
  const shown = (time, style) => new Intl.DateTimeFormat(language, style).format(new Date(time));
  const begin = shown(starts, { dateStyle: 'full', timeStyle: 'short' });
  return `${begin}. ${word('tooEarly', { time: shown(join.opens_at, { timeStyle: 'short' }) })}`;
}
