// The room's bar: the class, and what people change about the page.
import { html } from '../ui.js';
import { Button } from '../parts/basic.js';
import { ThemeSwitch } from '../parts/theme.js';
import { canFill, useFullscreen } from './fullscreen.js';
import { LANGUAGES } from './words.js';

export function Bar({ title, language, onLanguage, polls, word }) {
  const [isFull, toggleFull] = useFullscreen();
  return html`<header class="room-bar"><img src="/console/icon.svg" alt="" width="26" height="26" />
    <h1><bdi>${title || ' '}</bdi></h1>
    <div class="bar-end">
      <label class="language"><span class="hidden">${word('language')}</span>
        <select value=${language} onChange=${(event) => onLanguage(event.target.value)}>
          ${Object.entries(LANGUAGES).map(
            ([key, name]) =>
              html`<option key=${key} value=${key} lang=${key} selected=${key === language}>${name}</option>`,
          )}</select></label>
      ${polls && html`<${PollButton} ...${polls} word=${word} />`}
      ${
        canFill() &&
        html`<${Button} kind="quiet" icon="expand" label=${word(isFull ? 'leaveFullscreen' : 'fullscreen')}
          aria-pressed=${isFull} onClick=${toggleFull} />`
      }
      <${ThemeSwitch} /></div></header>`;
}

/** Opens and closes the polls. A dot marks a poll that waits for an answer while the panel is closed. */
function PollButton({ isShown, isWaiting, onToggle, word }) {
  const label = isShown ? word('hidePolls') : word(isWaiting ? 'pollsWaiting' : 'showPolls');
  return html`<span class="poll-button">
    <${Button} kind="quiet" icon="poll" label=${label} aria-pressed=${isShown} onClick=${onToggle} />
    ${!isShown && isWaiting && html`<span class="poll-dot" aria-hidden="true">1</span>`}</span>`;
}
