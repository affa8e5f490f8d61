// Storing attendance overrides.
import { api } from '../api.js';

/** The fields of an override, by the choice of a trainer. */
const FIELDS = {
  present: { present: true },
  absent: { present: false },
  excused: { status: 'excused' },
  rule: { present: null, status: null },
};

/**
 * Stores choices, `{attendee_id: choice}`, one after the other, with one reason for all. Returns `{stored, problem}`:
 * the people whose override is stored, and the refusal that ended the work. A repetition stores the rest.
 */
export async function storeOverrides(as, sessionId, choices, reason) {
  const stored = [];
  for (const [attendee, choice] of Object.entries(choices)) {
    try {
      await api(as).put(`/v1/sessions/${sessionId}/attendance/${attendee}`, {
        ...FIELDS[choice],
        ...(reason && { reason }),
      });
    } catch (problem) {
      return { stored, problem };
    }
    stored.push(attendee);
  }
  return { stored, problem: null };
}

/** Counts the time of an unknown participant for another person of the report. */
export function assign(as, sessionId, attendee, to, reason) {
  return api(as).put(`/v1/sessions/${sessionId}/attendance/${attendee}`, { assign_to: { attendee_id: to }, reason });
}
