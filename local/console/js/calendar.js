// The calendar entry of a class as a file. The API serves it as it is mailed, so a calendar keeps one entry.
import { api } from './api.js';
import { click } from './cost.js';
import { saveFile } from './parts/basic.js';

/** Saves the entry that the API has for this person. */
export function saveCalendar(as, session) {
  return click('Add to calendar', async () => {
    const { data } = await api(as).call({ path: `/v1/sessions/${session.id}/calendar.ics`, text: true });
    saveFile('class.ics', 'text/calendar', [data]);
  });
}
