// The bars of a poll's tally.
import { html } from '../ui.js';
import { counted } from '../plural.js';

export function Tally({ of, word = (n) => counted(n, 'vote') }) {
  const most = Math.max(1, of.responses ?? 0);
  return html`<ul class="tally">${of.options.map((option) => {
    const mine = of.my_vote?.includes(option.id);
    const percent = Math.round((option.votes / most) * 100);
    return html`<li key=${option.id} class=${mine ? 'mine' : ''}>
      <span class="tally-text"><bdi>${option.text}</bdi>${mine && html`${' '}<span aria-hidden="true">✓</span>`}</span>
      ${
        option.votes != null &&
        html`<span class="tally-count">${word(option.votes)} · ${percent} %</span>
          <span class="tally-bar" aria-hidden="true"><span style=${{ width: `${percent}%` }}></span></span>`
      }</li>`;
  })}</ul>`;
}
