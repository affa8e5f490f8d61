// Compares the version of Zoom's web client in `local/console/zoom-sdk.json` with npm. `node room/sdk-version.js`
// prints the result. It fails only if npm does not have the version, because people then cannot join in the page.
//
// Zoom publishes the minimum version on a support page, which no program can read, and not by a rule that could be
// computed. So an old version is a warning. Sources:
// https://developers.zoom.us/docs/contact-center/minimum-version/ (dates and notice),
// https://developers.zoom.us/docs/meeting-sdk/minimum-version (the same policy for the Meeting SDK).
import { spawnSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { MANIFEST, PACKAGE } from '../lib/zoom-files.js';

/** Zoom raises its minimum on the first weekend of these months, counted from 0, with three months' notice. */
const MONTHS = [1, 4, 7, 10];
/** The page with the minimum versions. */
const MINIMUMS = 'https://support.zoom.com/hc/en/article?id=zm_kb&sysparm_article=KB0061130#Dev';
const SATURDAY = 6;
const DAYS_OF_MONTH = 30.44;
const DAY_MS = 86_400_000;

/** The first Saturday of a month, at midnight UTC. */
function firstSaturday(year, month) {
  const day = new Date(Date.UTC(year, month, 1)).getUTCDay();
  return new Date(Date.UTC(year, month, 1 + ((SATURDAY - day + 7) % 7)));
}

/** The next date after `now` at which Zoom may raise its minimum. */
export function nextRaise(now) {
  const year = now.getUTCFullYear();
  const all = [year, year + 1].flatMap((each) => MONTHS.map((month) => firstSaturday(each, month)));
  return all.find((date) => date > now);
}

const isRelease = (version) => /^\d+\.\d+\.\d+$/.test(version);
const parts = (version) => version.split('.').map(Number);

/** Orders versions by number. */
export function order(one, other) {
  const [a, b] = [parts(one), parts(other)];
  const n = a.findIndex((part, n) => part !== b[n]);
  return n < 0 ? 0 : a[n] - b[n];
}

const counted = (n, word) => `${n} ${word}${n === 1 ? '' : 's'}`;

/**
 * Returns the lines to print, and whether npm has the version. `latest` is the version that npm installs without a
 * number, and `times` is the release time of each version.
 */
export function judge(version, { latest, times }, now) {
  if (!times[version])
    return { exists: false, lines: [`ERROR: npm has no ${PACKAGE}@${version}. Set another version in zoom-sdk.json.`] };
  const newer = Object.keys(times).filter((each) => isRelease(each) && order(each, version) > 0);
  const days = (Date.parse(times[latest]) - Date.parse(times[version])) / DAY_MS;
  const months = Math.max(0, Math.round(days / DAYS_OF_MONTH));
  const date = nextRaise(now).toISOString().slice(0, 10);
  const isLatest = order(version, latest) >= 0;
  const lines = [
    isLatest
      ? `Zoom’s web client ${version} is the latest on npm.`
      : `WARNING: Zoom’s web client ${version} is ${counted(newer.length, 'version')} and ` +
        `${counted(months, 'month')} older than ${latest}, the latest on npm.`,
    `Zoom may raise its minimum version on ${date}, and announces it three months before: ${MINIMUMS}`,
  ];
  if (!isLatest) lines.push('Below the minimum nobody can join in the page. Update local/console/zoom-sdk.json.');
  return { exists: true, lines };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { status, stdout } = spawnSync('npm', ['view', PACKAGE, 'time', 'dist-tags', '--json'], { encoding: 'utf8' });
  if (status !== 0) console.log(`WARNING: npm does not answer, so the version of ${PACKAGE} is not compared.`);
  else {
    const { time: times, 'dist-tags': tags } = JSON.parse(stdout);
    const { exists, lines } = judge(MANIFEST.version, { latest: tags.latest, times }, new Date());
    for (const line of lines) console.log(line);
    process.exitCode = exists ? 0 : 1;
  }
}
