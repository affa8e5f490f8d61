// Explains error codes in the reader's language: those of our API, of Zoom's client, and of this page.
import ar from './problems/ar.js';
import en from './problems/en.js';
import es from './problems/es.js';
import hi from './problems/hi.js';

const EXPLANATIONS = { en, ar, hi, es };

/** The explanation of each code. Codes of Zoom's client are numbers, listed in `docs/reference/zoom-app.md`. */
export const CODES = {
  // This page.
  sdk_not_loaded: 'notLoaded',
  sdk_unsupported: 'unsupported',
  // Zoom's client.
  '-1': 'storage',
  1: 'failed',
  2: 'failed',
  3: 'unsupported',
  200: 'failed',
  403: 'offline',
  3000: 'otherMeeting',
  3001: 'gone',
  3003: 'notHost',
  3004: 'passcode',
  3009: 'removed',
  3034: 'signIn',
  3099: 'signIn',
  3100: 'signIn',
  3265: 'token',
  3610: 'gone',
  3621: 'connection',
  3622: 'connection',
  3623: 'token',
  3625: 'hostInactive',
  3633: 'tooOften',
  3634: 'tooOften',
  3635: 'memory',
  3636: 'token',
  3704: 'setup',
  3705: 'token',
  3710: 'setup',
  3712: 'setup',
  4000: 'connection',
  4001: 'connection',
  4008: 'connection',
  4012: 'signIn',
  10000: 'outdated',
  // Our API.
  conflict: 'pollRefused',
  forbidden: 'notFound',
  internal: 'unavailable',
  missing_scopes: 'trainerConnect',
  no_answer: 'unavailable',
  no_licence: 'noLicence',
  no_meeting_yet: 'notReady',
  not_found: 'notFound',
  poll_closed: 'pollClosed',
  rate_limited: 'busy',
  reauth_required: 'trainerConnect',
  session_cancelled: 'cancelled',
  session_ended: 'ended',
  too_early: 'early',
  unavailable: 'unavailable',
  validation_failed: 'invalid',
  zoom_not_connected: 'trainerConnect',
  zoom_rate_limited: 'busy',
  zoom_rejected: 'zoomRejected',
  zoom_unavailable: 'offline',
};

/** Zoom's code for a meeting that the host has not started. The page waits. */
export const NOT_STARTED = 3008;
/** A new response of `join` cures these: its signature or token was used or has expired. */
const CURED_BY_A_NEW_JOIN = new Set([3265, 3623, 3636, 3705]);

export const isCuredByNewJoin = (problem) => CURED_BY_A_NEW_JOIN.has(problem.zoom);

/**
 * An error of Zoom's client, or of its loading, as a problem like those of the API.
 *
 * @param {{code: string | number, detail?: string}} error
 */
export function clientProblem({ code, detail }) {
  const problem = new Error(detail || '');
  const isOfZoom = typeof code === 'number';
  return Object.assign(problem, { code: isOfZoom ? `zoom_sdk_${code}` : code, zoom: isOfZoom ? code : undefined });
}

/** Returns `[title, next step]` in a language. Codes without an explanation show the text of the API or of Zoom. */
export function explain(language, problem) {
  const key = CODES[problem.zoom ?? problem.code];
  const of = EXPLANATIONS[language] || en;
  if (key) return of[key];
  return problem.zoom === undefined ? [problem.title || of.failed[0], problem.message] : of.failed;
}
