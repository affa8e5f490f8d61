// How the person of the room reads the class and joins it: with a token of the platform, or with the token of a guest
// link.
import { api } from '../api.js';
import { PEOPLE } from '../people.js';

const query = new URLSearchParams(location.search);
const [, page, last] = location.pathname.match(/^\/(room|guest)(?:\/([^/]+))?$/) || [];

// The token leaves the address first, so that Zoom's client, the history and a screenshot do not have it. It stays in
// this module, so a reload needs the link in the mail again.
if (page === 'guest') history.replaceState(null, '', '/guest');

function member(id) {
  const as = PEOPLE[query.get('as')]?.claims ? query.get('as') : 'sam';
  return {
    as,
    key: `room ${id}`,
    name: PEOPLE[as].claims.name,
    email: PEOPLE[as].claims.email,
    session: () => api(as).get(`/v1/sessions/${id}`),
    disclaimer: async () => (await api(as).get('/v1/me/capabilities')).disclaimer,
    join: (options) => api(as).post(`/v1/sessions/${id}/join`, options),
    report: (milliseconds) => api(as).post(`/v1/sessions/${id}/join-report`, { milliseconds }),
  };
}

function guest(token) {
  const open = api();
  return {
    isGuest: true,
    hasToken: Boolean(token),
    key: 'guest',
    session: () => open.post('/v1/guest/session', { token }),
    // It comes with the class.
    disclaimer: async () => null,
    join: (options) => open.post('/v1/guest/join', { token, ...options }),
    report: (milliseconds) => open.post('/v1/guest/join-report', { token, milliseconds }),
  };
}

export const access = page === 'guest' ? guest(last) : member(decodeURIComponent(last || ''));
