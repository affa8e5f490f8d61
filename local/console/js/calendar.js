// The calendar entry of a class as a file. The route needs a token, so a plain link cannot lead to it.
import { api } from './api.js';
import { click } from './cost.js';
import { saveFile } from './parts/basic.js';

export function saveCalendar(as, session) {
  return click('Add to calendar', async () => {
    const { data } = await api(as).call({ path: `/v1/sessions/${session.id}/calendar.ics`, text: true });
    saveFile('class.ics', 'text/calendar', [data]);
  });
}
