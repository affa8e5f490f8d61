// A local stack to look at: the one whose address is given, or one of our own.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';

const STARTS_WITHIN_MS = 600_000;

async function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });
}

/** `{base, stop}`; without an address, `cargo local` is started on a free port, with `options` if there are any. */
export async function stack(address, options = []) {
  if (address) return { base: address.replace(/\/$/, ''), stop() {} };
  const port = await freePort();
  const base = `http://localhost:${port}`;
  const child = spawn('cargo', ['local', '--port', String(port), ...options], {
    cwd: new URL('../../../', import.meta.url),
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
  const until = Date.now() + STARTS_WITHIN_MS;
  while (Date.now() < until && child.exitCode === null) {
    try {
      await fetch(`${base}/local/clock`);
      return { base, stop };
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }
  stop();
  throw new Error('cargo local did not start');
}

/** Calls of the stack's own routes and of the API, past the browser, to set a scene or to see what came of a click. */
export function client(base) {
  const call = async (method, path, body, headers = {}) => {
    const answer = await fetch(base + path, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  };
  return {
    get: (path, headers) => call('GET', path, undefined, headers),
    post: (path, body, headers) => call('POST', path, body, headers),
    put: (path, body, headers) => call('PUT', path, body, headers),
    async bearer(claims) {
      const { token } = await call('POST', '/local/tokens', claims);
      return { authorization: `Bearer ${token}` };
    },
  };
}

/** Connects a trainer's Zoom account, as Zoom's consent page does. `stack` is a client, `trainer` the headers. */
export async function connectZoom(stack, base, trainer) {
  const { authorize_url: consent } = await stack.post(
    '/v1/zoom/authorize',
    { redirect_uri: `${base}/callback` },
    trainer,
  );
  const body = new URLSearchParams({ decision: 'allow' });
  const answer = await fetch(consent, { method: 'POST', body, redirect: 'manual' });
  const query = new URL(answer.headers.get('location'), base).searchParams;
  await stack.post('/v1/zoom/connect', { code: query.get('code'), state: query.get('state') }, trainer);
}
