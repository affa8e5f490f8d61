// The first day of a platform that adopts the product, against a local stack with the platform's own settings:
// `node run.js [--importer COMMAND] [--browser]`. `--importer` names the installed `live-classes-import`, and
// `--browser` adds the page in a headless Chromium.
import { parseArgs } from 'node:util';
import { bookings } from './bookings.js';
import { directory } from './directory.js';
import { startIssuer } from './issuer.js';
import { startPage } from './page.js';
import { ROLE_CLAIM, startStack } from './stack.js';

const { values } = parseArgs({
  options: { importer: { type: 'string' }, browser: { type: 'boolean' } },
});
const began = Date.now();
const issuer = await startIssuer(ROLE_CLAIM);
const page = await startPage();
const stack = await startStack(issuer, page.callback);

/** Runs a part of the path and prints its duration. */
async function part(name, run) {
  const start = Date.now();
  await run({ stack, issuer, page, importer: values.importer });
  console.log(`ok  ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
}

try {
  await part('the school is imported', directory);
  if (values.importer) {
    const { exported } = await import('./importer.js');
    await part('the CSV files are imported', exported);
  }
  await part('bookings and payments survive faults', bookings);
  if (values.browser) {
    const { visit } = await import('./browser.js');
    await part('the page connects Zoom and counts down', visit);
  }
  const { items: denied } = await stack.local('GET', '/local/denied-calls');
  if (denied.length > 0) throw new Error(`calls that template.yaml does not grant: ${JSON.stringify(denied)}`);
  console.log(`OK: the adopter's path works, ${((Date.now() - began) / 1000).toFixed(1)} s`);
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  stack.stop();
  page.close();
  issuer.close();
}
