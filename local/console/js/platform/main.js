// The pages of the platform's back end: the calls that a booking engine, a payment handler and an operations team make.
import { html } from '../ui.js';
import { go, href } from '../route.js';
import { PLATFORM } from '../people.js';
import { Places } from '../parts/layers.js';
import { Heading, NotFound } from '../parts/person.js';
import { Bookings } from './bookings.js';
import { Payments } from './payments.js';
import { Imports } from './imports.js';
import { Runs } from './runs.js';
import { Logs } from './logs.js';

const PARTS = [
  ['bookings', 'Bookings'],
  ['payments', 'Payments'],
  ['imports', 'Import'],
  ['runs', 'Runs'],
  ['logs', 'Logs'],
];
const VIEWS = { bookings: Bookings, payments: Payments, imports: Imports, runs: Runs, logs: Logs };

export function Platform({ place }) {
  const as = PLATFORM.key;
  const [, title] = PARTS.find(([key]) => key === place) || [];
  if (!title) return html`<${NotFound} as=${as} />`;
  return html`<${Heading} as=${as}>${title}<//>
    <${Places} label="The platform’s pages" of=${PARTS} at=${place}
      link=${(to) => href(as, to)} onGo=${(to) => go(as, to)} />
    <${VIEWS[place]} />`;
}
