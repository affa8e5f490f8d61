// How a page calls the API. A single-page application needs no more than this: a bearer token of the platform's issuer,
// JSON there and back, and problems (RFC 9457) told by their stable `code`.
import { store } from './store.js';
import { PEOPLE, PLATFORM } from './people.js';

/** What went wrong, as the API tells it. `errors` names the fields of a form. */
export class Problem extends Error {
  constructor(told) {
    super(told.detail || told.title);
    Object.assign(this, told);
    this.errors = told.errors || [];
  }
}

/** The last calls, newest first, for those who want to see how it is done. */
export const calls = store([]);
const KEPT = 60;
let count = 0;

const tokens = new Map();

export function person(key) {
  return key === PLATFORM.key ? PLATFORM : PEOPLE[key];
}

/** A token for a person. The platform's own login would give it; here the stack plays the issuer. */
export async function token(key) {
  if (!tokens.has(key)) {
    const asked = fetch('/local/tokens', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(person(key).claims),
    }).then(async (answer) => (await answer.json()).token);
    tokens.set(key, asked);
    asked.catch(() => tokens.delete(key));
  }
  return tokens.get(key);
}

/**
 * One call. `as` is whose token goes along; without it the call is to the local stack itself. Answers
 * `{status, data, headers}` and throws a `Problem`. `background` marks what no click asked for.
 */
export async function call({ as, method = 'GET', path, body, headers = {}, text = false, background = false }) {
  const sent = { ...headers };
  if (body !== undefined) sent['content-type'] = 'application/json';
  const entry = {
    n: ++count, as, method, path, body, headers: sent, background, at: Date.now(), status: null,
  };
  const note = (more) => {
    Object.assign(entry, more);
    calls.set((all) => [entry, ...all.filter((other) => other.n !== entry.n)].slice(0, KEPT));
  };
  const send = async () => fetch(path, {
    method,
    headers: as ? { ...sent, authorization: `Bearer ${await token(as)}` } : sent,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const begun = performance.now();
  let answer;
  let raw;
  try {
    answer = await send();
    if (answer.status === 401 && as) {
      // The clock may have been moved past the token's end; a platform would refresh its own token here.
      tokens.delete(as);
      answer = await send();
    }
    raw = await answer.text();
  } catch {
    note({ status: 0, took: performance.now() - begun });
    throw new Problem({
      status: 0, code: 'no_answer', title: 'No answer', detail: 'The local stack does not answer. Is `cargo local` still running?',
    });
  }
  let data = raw;
  if (!text && raw) {
    try { data = JSON.parse(raw); } catch { /* Told as it is. */ }
  }
  note({ status: answer.status, took: performance.now() - begun, answer: data || null });
  if (answer.status >= 400) {
    const told = data && typeof data === 'object' ? data : {};
    throw new Problem({
      title: told.title || 'That did not work',
      detail: told.detail || told.error || told.message || `The answer was ${answer.status}.`,
      code: told.code || `http_${answer.status}`,
      ...told,
      status: answer.status,
      retry_after: answer.headers.get('retry-after'),
    });
  }
  return { status: answer.status, data: data === '' ? null : data, headers: answer.headers };
}

/** The API as one person, with the verbs that it has. */
export function api(as) {
  const verb = (method) => async (path, body, headers) => (await call({ as, method, path, body, headers })).data;
  return {
    get: async (path, background = true) => (await call({ as, path, background })).data,
    post: verb('POST'),
    put: verb('PUT'),
    delete: verb('DELETE'),
    call: (options) => call({ as, ...options }),
  };
}

/** The stack's own routes, which no deployment has. */
export const stack = {
  get: async (path) => (await call({ path, background: true })).data,
  post: async (path, body) => (await call({ method: 'POST', path, body })).data,
  delete: async (path) => (await call({ method: 'DELETE', path })).data,
};

/** Every page of a list. */
export async function all(as, path, most = 1000) {
  const items = [];
  let cursor = null;
  do {
    const join = path.includes('?') ? '&' : '?';
    const next = cursor ? `${path}${join}cursor=${encodeURIComponent(cursor)}` : path;
    const page = await api(as).get(next);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && items.length < most);
  return items;
}

/** The call as a line for a shell. With `secret`, the token is in it and the line runs as it stands. */
export function curl(entry, secret) {
  const quoted = (value) => `'${String(value).replaceAll("'", "'\\''")}'`;
  const parts = ['curl -i', quoted(location.origin + entry.path)];
  if (entry.method !== 'GET') parts.splice(1, 0, `-X ${entry.method}`);
  if (entry.as) parts.push(secret ? `-H ${quoted(`authorization: Bearer ${secret}`)}` : '-H "authorization: Bearer $TOKEN"');
  for (const [name, value] of Object.entries(entry.headers)) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (entry.body !== undefined) parts.push(`-d ${quoted(JSON.stringify(entry.body))}`);
  return parts.join(' \\\n  ');
}
