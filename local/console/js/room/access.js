// How the person of the room reads the class and joins it: with a token of the platform, or with the token of a guest
// link.
import { api, call } from '../api.js';
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
  const post = async (path, body) =>
    (await call({ method: 'POST', path, body: { token, ...body }, background: true })).data;
  return {
    isGuest: true,
    hasToken: Boolean(token),
    key: 'guest',
    session: () => post('/v1/guest/session'),
    disclaimer: async () => null,
    join: (options) => post('/v1/guest/join', options),
    report: (milliseconds) => post('/v1/guest/join-report', { milliseconds }),
  };
}

export const access = page === 'guest' ? guest(last) : member(decodeURIComponent(last || ''));
