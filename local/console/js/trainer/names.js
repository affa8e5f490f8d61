// The names of the people of a class, by user id and by address. The timeline and the changes of attendance have ids.
import { api } from '../api.js';
import { useLoad } from '../load.js';
import { PEOPLE } from '../people.js';

async function read(as, session) {
  const { sub, name } = PEOPLE[as].claims;
  const report = await api(as).get(`/v1/sessions/${session.id}/attendance`);
  const invited = (session.invitees ?? []).map((person) => [person.email, person.name]);
  const expected = report.attendees.flatMap((person) => [
    [person.user_id, person.name],
    [person.email, person.name],
  ]);
  return new Map([[sub, name], ...invited, ...expected].filter(([key, value]) => key && value));
}

/** Returns a function from a user id or an address to the person's name. Unknown ones stay as they are. */
export function useNames(as, session) {
  const names = useLoad(`names ${session.id}`, () => read(as, session), { every: 0 });
  return (key) => names.data?.get(key) ?? key;
}
