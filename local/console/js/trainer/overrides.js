// Storing attendance overrides.
import { api } from '../api.js';

/** The most rows of one request. */
const ROWS = 300;

/** The field that a choice changes. A presence and an excuse replace each other. */
const FIELDS = {
  present: { present: true },
  absent: { present: false },
  excused: { status: /** @type {const} */ ('excused') },
};

/** Returns the field that a choice changes. The choice `rule` clears the override that the row has. */
function fieldOf(row, choice) {
  return FIELDS[choice] ?? (row.status === 'excused' ? { status: null } : { present: null });
}

/**
 * Stores the choices of `{row, choice}` with one reason for all. The API stores many rows at once only with a reason.
 * Returns `{stored, problem}`: the rows whose override is stored, and the error that ended the work. A repetition
 * stores the rest.
 */
export async function storeOverrides(as, sessionId, choices, reason) {
  const most = reason ? ROWS : 1;
  const stored = [];
  for (let next = 0; next < choices.length; next += most) {
    const part = choices.slice(next, next + most);
    try {
      if (reason) await storeMany(as, sessionId, part, reason);
      else await storeOne(as, sessionId, part[0]);
    } catch (problem) {
      return { stored, problem };
    }
    stored.push(...part.map(({ row }) => row.attendee_id));
  }
  return { stored, problem: null };
}

const storeMany = (as, sessionId, choices, reason) =>
  api(as).put(`/v1/sessions/${sessionId}/attendance`, {
    reason,
    rows: choices.map(({ row, choice }) => ({ attendee_id: row.attendee_id, ...fieldOf(row, choice) })),
  });

const storeOne = (as, sessionId, { row, choice }) =>
  api(as).put(`/v1/sessions/${sessionId}/attendance/${row.attendee_id}`, fieldOf(row, choice));

/** Counts the time of an unknown participant for another person of the report. */
export function assign(as, sessionId, attendee, to, reason) {
  return api(as).put(`/v1/sessions/${sessionId}/attendance/${attendee}`, { assign_to: { attendee_id: to }, reason });
}
