// The cost since the last reset, per function.
import { html } from '../ui.js';
import { stack } from '../api.js';
import { click, money, units } from '../cost.js';
import { useLoad } from '../load.js';
import { stamp, HERE } from '../time.js';
import { Button, Empty, Loaded } from '../parts/basic.js';

export function Meter() {
  const report = useLoad('usage', () => stack.get('/local/usage'), { every: 4000 });
  return html`<${Loaded} of=${report} height=${60}>${(of) => {
    const all = Object.entries(of.functions).sort(([, a], [, b]) => b.price_usd - a.price_usd);
    const sum = (pick) => all.reduce((total, [, each]) => total + pick(each), 0);
    return html`<div class="tiles"><div class="tile"><strong>${sum((each) => each.invocations)}
      </strong>invocations</div><div class="tile"><strong>${sum((each) => each.totals.calls)}
        </strong>calls to services</div>
        <div class="tile"><strong>${units(sum((each) => each.totals.read_units))}</strong>read units</div><div
          class="tile"><strong>${units(sum((each) => each.totals.write_units))}</strong>write units</div><div
            class="tile"><strong>${money(sum((each) => each.price_usd))}</strong>at list prices</div>
        <${Button} onClick=${() => click('Reset the meter', () => stack.delete('/local/usage'))}>Reset<//></div>
      <p class="fine">Since ${stamp(of.since, HERE)}</p>
      ${
        all.length
          ? html`<div class="table-wrap card" tabindex="0" role="region" aria-label="Usage by function"><table><thead>
            <tr><th scope="col">Function</th><th scope="col" class="num">Runs</th><th scope="col" class="num">Calls</th>
              <th scope="col" class="num">Read</th><th scope="col" class="num">Write</th><th scope="col"
                class="num">Cost</th></tr></thead>
        <tbody>${all.map(
          ([
            name,
            each,
          ]) => html`<tr key=${name}><th scope="row"><details><summary><code>${name}</code></summary><ul class="fine">
            ${each.calls.map(
              (call) => html`<li key=${call.service + call.operation}>
              ${call.service} ${call.operation} × ${call.calls}${call.errors ? `, ${call.errors} failed` : ''}</li>`,
            )}
                </ul></details></th>
          <td class="num">${each.invocations}</td><td class="num">${each.totals.calls}</td><td class="num">
            ${units(each.totals.read_units)}</td><td class="num">${units(each.totals.write_units)}</td><td class="num">
              ${money(each.price_usd)}</td></tr>`,
        )}</tbody></table></div>`
          : html`<${Empty} icon="poll" title="Nothing has run" />`
      }`;
  }}<//>`;
}
