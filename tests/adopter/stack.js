// `cargo local` with the settings of the platform, and its calls.
import { spawn } from 'node:child_process';
import { AUDIENCE } from './issuer.js';
import { serve } from './server.js';

/** A namespaced claim, as identity services demand it. */
export const ROLE_CLAIM = 'https://school.example/roles';
/** The first start compiles everything. */
const STARTS_WITHIN_MS = 900_000;
const LOOK_MS = 200;

async function freePort() {
  const { base, close } = await serve(() => {});
  close();
  return new URL(base).port;
}

export class Refused extends Error {
  constructor(method, path, status, body, retryAfter) {
    super(`${method} ${path}: ${status} ${JSON.stringify(body)}`);
    this.status = status;
    this.body = body;
    this.retryAfter = retryAfter;
  }
}

/**
 * Returns the body of a success, and throws `Refused` otherwise.
 *
 * @param {string} base
 * @param {string} method
 * @param {string} path
 * @param {{token?: string, body?: unknown, lines?: string, headers?: Record<string, string>}} [options]
 */
async function call(base, method, path, { token, body, lines, headers } = {}) {
  const type = lines === undefined ? 'application/json' : 'application/x-ndjson';
  const response = await fetch(base + path, {
    method,
    headers: {
      ...(token && { authorization: `Bearer ${token}` }),
      ...((body ?? lines) !== undefined && { 'content-type': type }),
      ...headers,
    },
    body: lines ?? (body === undefined ? undefined : JSON.stringify(body)),
  });
  const text = await response.text();
  const parsed = text === '' ? null : JSON.parse(text);
  if (response.ok) return parsed;
  throw new Refused(method, path, response.status, parsed, response.headers.get('retry-after'));
}

/** `{base, call, local, stop}`. `call(token, method, path, options)` calls the API. */
export async function startStack(issuer, callback) {
  const base = `http://localhost:${await freePort()}`;
  const settings = {
    AUTH_ISSUER: issuer.url,
    AUTH_AUDIENCE: AUDIENCE,
    AUTH_JWKS_URL: issuer.jwksUrl,
    AUTH_ROLE_CLAIM: ROLE_CLAIM,
    ZOOM_REDIRECT_URIS: callback,
  };
  const set = Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
  const child = spawn('cargo', ['local', '--no-seed', '--port', new URL(base).port, ...set], {
    cwd: new URL('../../', import.meta.url),
    stdio: ['ignore', 'ignore', 'inherit'],
    detached: true,
  });
  const stop = () => {
    try {
      process.kill(-child.pid);
    } catch {
      /* It has ended by itself. */
    }
  };
  process.on('exit', stop);
  const stack = {
    base,
    stop,
    call: (token, method, path, options) => call(base, method, path, { token, ...options }),
    local: (method, path, body) => call(base, method, path, { body }),
  };
  const until = Date.now() + STARTS_WITHIN_MS;
  while (Date.now() < until && child.exitCode === null) {
    try {
      await stack.local('GET', '/local/clock');
      return stack;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }
  stop();
  throw new Error('cargo local did not start');
}

/**
 * Sends a request until it succeeds, as a back end does: a 5xx, a 429 and a broken connection are repeated with the
 * same body. Returns the body and the number of requests.
 */
export async function repeated(send, attempts = 8) {
  for (let sent = 1; ; sent += 1) {
    try {
      return { body: await send(), sent };
    } catch (error) {
      const isFinal = error instanceof Refused && error.status < 500 && error.status !== 429;
      if (isFinal || sent === attempts) throw error;
      const seconds = Number(error.retryAfter ?? 0.2);
      await new Promise((resolve) => setTimeout(resolve, Math.min(seconds, 2) * 1000));
    }
  }
}

/** Waits until `look` returns something. */
export async function eventually(look, what, patienceMs = 20_000) {
  const until = Date.now() + patienceMs;
  while (Date.now() < until) {
    const seen = await look();
    if (seen) return seen;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  throw new Error(`not seen: ${what}`);
}
