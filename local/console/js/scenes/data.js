// The tables and queues of the stack, to read.
import { html, useState } from '../ui.js';
import { stack } from '../api.js';
import { useLoad } from '../load.js';
import { counted } from '../plural.js';
import { stamp, HERE } from '../time.js';
import { Badge, Button, Empty, Loaded } from '../parts/basic.js';
import { Select, Text } from '../parts/form.js';
import { Search, matches } from '../parts/search.js';
import { pretty } from './pretty.js';

/** Returns an attribute of DynamoDB as plain JSON. */
export function plain(attribute) {
  const [[type, value]] = Object.entries(attribute);
  switch (type) {
    case 'N':
      return Number(value);
    case 'NULL':
      return null;
    case 'NS':
      return value.map(Number);
    case 'L':
      return value.map(plain);
    case 'M':
      return plainItem(value);
    default:
      return value;
  }
}

export const plainItem = (item) =>
  Object.fromEntries(Object.entries(item).map(([name, attribute]) => [name, plain(attribute)]));

export function Data() {
  return html`<${Tables} /><${QueueList} />`;
}

function Tables() {
  const tables = useLoad('tables', () => stack.get('/local/tables'), { every: 0 });
  const [name, setName] = useState('');
  const [partition, setPartition] = useState('');
  const [wanted, setWanted] = useState('');
  return html`<section class="section" aria-labelledby="tables"><h3 id="tables">Tables</h3>
    <${Loaded} of=${tables} lines=${1}>${({ items }) => {
      const table = items.find((of) => of.name === name) || items[0];
      const choose = (event) => {
        event.preventDefault();
        setWanted(partition.trim());
      };
      return html`<form class="row end-row" onSubmit=${choose} aria-label="Choose items">
          <${Select} label="Table" value=${table.name} onChange=${setName}
            options=${items.map((of) => [of.name, of.name])} />
          <${Text} label=${`Partition (${table.keys[0]})`} optional value=${partition} onInput=${setPartition} />
          <${Button} type="submit">Show<//></form>
        <${Items} key=${`${table.name} ${wanted}`} table=${table.name} partition=${wanted} />`;
    }}<//></section>`;
}

function Items({ table, partition }) {
  const [pages, setPages] = useState(1);
  const [search, setSearch] = useState('');
  const list = useLoad(`items ${table} ${partition} ${pages}`, async () => {
    let [items, next, keys] = [[], undefined, []];
    for (let n = 0; n < pages && next !== null; n += 1) {
      const query = new URLSearchParams({ ...(partition && { partition }), ...(next && { after: next }) });
      const page = await stack.get(`/local/tables/${encodeURIComponent(table)}?${query}`);
      items = [...items, ...page.items.map(plainItem)];
      [next, keys] = [page.next, page.keys];
    }
    return { items, keys, more: next !== null };
  });
  return html`<${Loaded} of=${list} lines=${2} height=${48}>${({ items, keys, more }) => {
    const found = items.filter((item) => matches(JSON.stringify(item), search));
    return html`<${Search} label="Search items" value=${search} onInput=${setSearch} />
      <p class="fine" role="status">${counted(found.length, 'item')}${more ? ' so far' : ''}</p>
      ${
        found.length
          ? html`<ul class="card people" aria-label="Items">${found.map((item) => {
              const key = keys.map((name) => item[name]).join(' · ');
              return html`<li key=${key}><details><summary><code>${key}</code></summary>
                <pre tabindex="0" aria-label="The item">${JSON.stringify(item, null, 2)}</pre></details></li>`;
            })}</ul>`
          : html`<${Empty} icon="search" title="No items" />`
      }
      ${
        more &&
        html`<p class="centre"><${Button} kind="quiet" onClick=${() => setPages(pages + 1)}>More items<//>
        </p>`
      }`;
  }}<//>`;
}

function QueueList() {
  const list = useLoad('queues', () => stack.get('/local/queues'));
  const [open, setOpen] = useState(null);
  return html`<section class="section" aria-labelledby="queues"><h3 id="queues">Queues</h3>
    <${Loaded} of=${list} lines=${2} height=${48}>${({
      items,
    }) => html`<ul class="card people hosts" aria-label="Queues">
      ${items.map(
        (of) => html`<li key=${of.name}><div class="host"><strong>${of.name}</strong>
          <p class="fine">${of.visible} ready, ${of.in_flight} in progress, ${of.delayed} delayed</p>
          ${open === of.name && html`<${Messages} queue=${of.name} />`}</div>
          <${Button} small aria-expanded=${open === of.name ? 'true' : 'false'} aria-label=${`Messages of ${of.name}`}
            onClick=${() => setOpen(open === of.name ? null : of.name)}>Messages<//></li>`,
      )}</ul>`}<//></section>`;
}

function Messages({ queue }) {
  const list = useLoad(`queue ${queue}`, () => stack.get(`/local/queues/${encodeURIComponent(queue)}`), {
    every: 4000,
  });
  return html`<${Loaded} of=${list} lines=${1} height=${40}>${({ items }) =>
    items.length
      ? html`<ul class="people">${items.map(
          (message) => html`<li key=${message.id}><details>
            <summary><code>${message.id.slice(0, 8)}</code>${' '}
              <span class="fine">since ${stamp(message.sent_at, HERE)}, received ${counted(message.received, 'time')}
              </span>${message.visible_at && html`${' '}<${Badge}>hidden until ${stamp(message.visible_at, HERE)}<//>`}
            </summary><pre tabindex="0" aria-label="The message">${pretty(message.body)}</pre></details></li>`,
        )}</ul>`
      : html`<p class="fine">No messages.</p>`}<//>`;
}
