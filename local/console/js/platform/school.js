// The people and courses of the directory, for the forms of the platform.
import { api, stack } from '../api.js';
import { PLATFORM } from '../people.js';
import { useLoad } from '../load.js';
import { HERE, now, wall } from '../time.js';

export const backEnd = api(PLATFORM.key);

/** Returns `{trainers, students, courses, name}` of the directory, as `useLoad` does. */
export function useSchool() {
  return useLoad(
    'school',
    async () => {
      const { items } = await stack.get('/local/directory');
      const users = (role) => items.filter((item) => item.type === 'user' && item.role === role);
      const named = new Map(items.map((item) => [item.id, item.name || item.title]));
      return {
        trainers: users('trainer'),
        students: users('student'),
        courses: items.filter((item) => item.type === 'course'),
        name: (id) => named.get(id) || id,
      };
    },
    { every: 0 },
  );
}

/** Returns the people of the directory as options of a select. */
export const options = (people) => people.map((person) => [person.id, person.name || person.title]);

/** Returns a day and time some days ahead, for the inputs of a form. */
export function daysAhead(days) {
  const { date } = wall(now() + days * 86_400_000, HERE);
  return { day: date, time: '10:00' };
}

/** Returns the local start of a form, as the API reads it together with `timezone`. */
export const startOf = ({ day, time }) => `${day}T${time}:00`;
