// Compares the version of Zoom's web client in `local/console/zoom-sdk.json` with npm, and with the oldest version
// that Zoom lets in. `node room/sdk-version.js` prints the result and fails only if the version is too old.
import { spawnSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { MANIFEST, PACKAGE } from '../lib/zoom-files.js';

/** Zoom raises its minimum on the first weekend of these months, counted from 0. */
const MONTHS = [1, 4, 7, 10];
/** A version is let in for about this long after its release. */
const SUPPORTED_MONTHS = 9;
const SATURDAY = 6;

/** The first Saturday of a month, at midnight UTC. */
function firstSaturday(year, month) {
  const day = new Date(Date.UTC(year, month, 1)).getUTCDay();
  return new Date(Date.UTC(year, month, 1 + ((SATURDAY - day + 7) % 7)));
}

/** The last date on or before `now` at which Zoom raised its minimum, and the next one. */
export function raises(now) {
  const year = now.getUTCFullYear();
  const all = [year - 1, year, year + 1].flatMap((each) => MONTHS.map((month) => firstSaturday(each, month)));
  const next = all.findIndex((date) => date > now);
  return { last: all[next - 1], next: all[next] };
}

/** The start of the time in which versions were released that are let in from `raise` on. */
export function oldestRelease(raise) {
  const date = new Date(raise);
  date.setUTCMonth(date.getUTCMonth() - SUPPORTED_MONTHS);
  return date;
}

const isRelease = (version) => /^\d+\.\d+\.\d+$/.test(version);
const parts = (version) => version.split('.').map(Number);

/** Orders versions by number. */
export function order(one, other) {
  const [a, b] = [parts(one), parts(other)];
  const n = a.findIndex((part, n) => part !== b[n]);
  return n < 0 ? 0 : a[n] - b[n];
}

/**
 * The lowest version that was released on or after a date, or nothing. `times` is npm's release time of each version.
 */
export function lowest(times, since) {
  const released = Object.keys(times).filter((version) => isRelease(version) && new Date(times[version]) >= since);
  return released.sort(order)[0];
}

/** The lines to print, and whether the version is below Zoom's minimum. */
export function judge(version, times, now) {
  const newest = Object.keys(times).filter(isRelease).sort(order).at(-1);
  const { last, next } = raises(now);
  const day = (date) => date.toISOString().slice(0, 10);
  const of = (raise) => lowest(times, oldestRelease(raise)) ?? newest;
  const isBelow = (minimum) => order(version, minimum) < 0;
  const lines = [
    `Zoom’s web client: ${version} here, ${newest} on npm${version === newest ? '' : '. Update zoom-sdk.json.'}`,
    `Minimum since ${day(last)}: ${of(last)}. From ${day(next)}: ${of(next)}.`,
  ];
  if (isBelow(of(last))) lines.push(`${version} is below the minimum: people cannot join in the page.`);
  else if (isBelow(of(next))) lines.push(`${version} will be below the minimum on ${day(next)}.`);
  return { lines, isTooOld: isBelow(of(last)) };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { status, stdout } = spawnSync('npm', ['view', PACKAGE, 'time', '--json'], { encoding: 'utf8' });
  if (status !== 0) console.log(`npm does not answer, so the version of ${PACKAGE} is not compared.`);
  else {
    const { lines, isTooOld } = judge(MANIFEST.version, JSON.parse(stdout), new Date());
    for (const line of lines) console.log(line);
    process.exitCode = isTooOld ? 1 : 0;
  }
}
