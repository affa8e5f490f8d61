// The API client of the console. A single-page application needs only this: a bearer token of the platform's issuer,
// JSON requests and responses, and problem documents (RFC 9457) with a stable `code`.
import { store } from './store.js';
import { OPERATIONS, PERSONAS } from './people.js';
import { measure } from './server-time.js';

/** An error response of the API. `errors` lists the invalid fields of a form. */
export class Problem extends Error {
  /** @param {{title?: string, detail?: string, code?: string, status?: number, [member: string]: any}} told */
  constructor(told) {
    super(told.detail || told.title);
    this.status = told.status;
    this.code = told.code;
    Object.assign(this, told);
    this.errors = told.errors || [];
  }
}

/** The last calls, newest first, for the drawer. */
export const calls = store(/** @type {any[]} */ ([]));
const KEPT = 60;
let count = 0;

const tokens = new Map();

export function person(key) {
  return key === OPERATIONS.key ? OPERATIONS : PERSONAS[key];
}

/** Returns a token for a person. In production the platform's login issues it. Here the stack has an issuer. */
export async function token(key) {
  if (!tokens.has(key)) {
    const asked = fetch('/local/tokens', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(person(key).claims),
    }).then(async (answer) => {
      const { token: signed, error } = await answer.json();
      if (!signed) throw new Problem({ status: answer.status, code: 'no_token', title: 'No token', detail: error });
      return signed;
    });
    tokens.set(key, asked);
    asked.catch(() => tokens.delete(key));
  }
  return tokens.get(key);
}

/**
 * Returns a CSV with all its pages. The `Link` header of a page has the query of the next one.
 *
 * @type {import('./api-types.js').Csv}
 */
export async function csv(as, path, query = '?format=csv') {
  const pages = [];
  for (let next = /** @type {string | undefined} */ (query); next; ) {
    const { data, headers } = await call({ as, path: path + next, text: true });
    pages.push(data ?? '');
    next = headers.get('link')?.match(/^<([^>]+)>; rel="next"$/)?.[1];
  }
  return pages.join('');
}

/**
 * Makes one call. `raw` is a body that is sent as it is, with the content type of `headers`. `as` selects the person
 * for the token. Without it, the call goes to the local stack itself. Returns `{status, data, headers}` or throws a
 * `Problem`. `background` marks calls that no click caused.
 *
 * @param {import('./api-types.js').Call} call
 * @returns {Promise<{status: number, data: any, headers: Headers}>}
 */
export async function call({
  as,
  method = 'GET',
  path,
  body,
  raw: rawBody,
  headers = {},
  text = false,
  background = false,
}) {
  const sent = { ...headers };
  if (body !== undefined) sent['content-type'] = 'application/json';
  const entry = {
    n: ++count,
    as,
    method,
    path,
    body: body ?? rawBody,
    headers: sent,
    background,
    at: Date.now(),
    status: null,
  };
  const note = (more) => {
    Object.assign(entry, more);
    calls.set((all) => [entry, ...all.filter((other) => other.n !== entry.n)].slice(0, KEPT));
  };
  let sentAt = 0;
  const send = async () => {
    const all = as ? { ...sent, authorization: `Bearer ${await token(as)}` } : sent;
    sentAt = Date.now();
    return fetch(path, { method, headers: all, body: body === undefined ? rawBody : JSON.stringify(body) });
  };
  const begun = performance.now();
  let answer;
  let raw;
  let receivedAt = 0;
  try {
    answer = await send();
    if (answer.status === 401 && as) {
      // The clock may have been moved past the token's expiry. A platform would refresh its token here.
      tokens.delete(as);
      answer = await send();
    }
    raw = await answer.text();
    receivedAt = Date.now();
  } catch (failure) {
    // The functions may trust another issuer, whose tokens the stack cannot sign.
    const problem = failure instanceof Problem ? failure : null;
    note({
      status: problem?.status ?? 0,
      took: performance.now() - begun,
      answer: problem && { error: problem.message },
    });
    if (problem) throw problem;
    throw new Problem({
      status: 0,
      code: 'no_answer',
      title: 'No response',
      detail: 'The local stack does not respond. Is `cargo local` still running?',
    });
  }
  /** @type {any} */
  let data = raw;
  if (!text && raw) {
    try {
      data = JSON.parse(raw);
    } catch {
      /* Not JSON: shown as text. */
    }
  }
  if (data?.server_time) measure(data.server_time, sentAt, receivedAt);
  note({ status: answer.status, took: performance.now() - begun, answer: data || null });
  if (answer.status >= 400) {
    const told = data && typeof data === 'object' ? data : {};
    throw new Problem({
      title: told.title || 'Request failed',
      detail: told.detail || told.error || told.message || `The response status was ${answer.status}.`,
      code: told.code || `http_${answer.status}`,
      ...told,
      status: answer.status,
      retry_after: answer.headers.get('retry-after'),
    });
  }
  return { status: answer.status, data: data === '' ? null : data, headers: answer.headers };
}

/**
 * Returns the API client of one person, or of a guest, who has no bearer token. Its paths, bodies and responses are
 * typed from openapi.yaml.
 *
 * @param {string} [as]
 * @returns {import('./api-types.js').Api}
 */
export function api(as) {
  const verb = (method) => async (path, body, headers) => (await call({ as, method, path, body, headers })).data;
  return /** @type {any} */ ({
    get: async (path, background = true) => (await call({ as, path, background })).data,
    post: verb('POST'),
    put: verb('PUT'),
    delete: verb('DELETE'),
    call: (options) => call({ as, ...options }),
  });
}

/** The routes of the local stack, which deployments do not have. */
export const stack = {
  get: async (path) => (await call({ path, background: true })).data,
  post: async (path, body) => (await call({ method: 'POST', path, body })).data,
  delete: async (path) => (await call({ method: 'DELETE', path })).data,
};

/**
 * Reads all pages of a list.
 *
 * @type {import('./api-types.js').All}
 */
export async function all(as, path, most = 1000) {
  const items = /** @type {any[]} */ ([]);
  let cursor = null;
  do {
    const join = path.includes('?') ? '&' : '?';
    const next = cursor ? `${path}${join}cursor=${encodeURIComponent(cursor)}` : path;
    const { data: page } = await call({ as, path: next, background: true });
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && items.length < most);
  return items;
}

/** Returns the call as a curl command. With `secret`, it includes the token and can be run unchanged. */
export function curl(entry, secret) {
  const quoted = (value) => `'${String(value).replaceAll("'", "'\\''")}'`;
  const parts = ['curl -i', quoted(location.origin + entry.path)];
  if (entry.method !== 'GET') parts.splice(1, 0, `-X ${entry.method}`);
  if (entry.as)
    parts.push(secret ? `-H ${quoted(`authorization: Bearer ${secret}`)}` : '-H "authorization: Bearer $TOKEN"');
  for (const [name, value] of Object.entries(entry.headers)) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (entry.body !== undefined) parts.push(`-d ${quoted(JSON.stringify(entry.body))}`);
  return parts.join(' \\\n  ');
}
