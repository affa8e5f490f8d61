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

/** The reader's own variant of a language, which has the reader's way to write dates. */
const regional = (language) => navigator.languages.find((each) => each.split('-')[0] === language) ?? language;
const shown = (time, language, style) => new Intl.DateTimeFormat(regional(language), style).format(new Date(time));

/** When the class begins, in the guest's own time zone. */
export const begin = (session, language) =>
  shown(session.starts_at, language, { dateStyle: 'full', timeStyle: 'short' });

/** From when a guest can join, with the time until then by the server's clock. */
export function Countdown({ until, language, word }) {
  const left = new Date(until).getTime() - useNow(1000);
  const rest = word('opensIn', { time: countdown(left, language) });
  return html`${left > 0 && html`<p class="countdown" role="timer"><strong>${rest}</strong></p>`}
    <p class="fine">${word('tooEarly', { time: shown(until, language, { timeStyle: 'short' }) })}</p>`;
}
