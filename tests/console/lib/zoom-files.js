// Zoom's real web client in a browser test: a server with the files of the npm package in place of Zoom's host. The
// files are not part of this repository, and every other host of Zoom is unknown to the browser.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:https';
import { extname, join, normalize, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const TARGET = resolve(ROOT, process.env.CARGO_TARGET_DIR || 'target');
const HOME = join(TARGET, 'zoom-sdk');
export const PACKAGE = '@zoom/meetingsdk';
export const MANIFEST = JSON.parse(readFileSync(join(ROOT, 'local/console/zoom-sdk.json'), 'utf8'));

const TYPES = {
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.mp3': 'audio/mpeg',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
};
/** What Zoom's host sends with each file. */
const HEADERS = {
  'access-control-allow-origin': '*',
  'cross-origin-resource-policy': 'cross-origin',
  'cache-control': 'max-age=3600',
};

const npm = (...args) => spawnSync('npm', args, { encoding: 'utf8' });

/** Installs the client's files. Returns their directory, or the reason why they cannot be had. */
export function install() {
  const home = join(HOME, 'node_modules', PACKAGE);
  const has = () => {
    const file = join(home, 'package.json');
    return existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).version === MANIFEST.version;
  };
  if (!has()) {
    mkdirSync(HOME, { recursive: true });
    const quiet = ['--ignore-scripts', '--legacy-peer-deps', '--no-audit', '--no-fund', '--no-save'];
    const { status, stderr } = npm('install', '--prefix', HOME, ...quiet, `${PACKAGE}@${MANIFEST.version}`);
    if (status !== 0 || !has())
      return { reason: `npm has no ${PACKAGE}@${MANIFEST.version}: ${stderr.trim().split('\n').at(-1)}` };
  }
  return { directory: join(home, 'dist') };
}

/**
 * The file of an address, such as `/6.2.0/lib/webim.min.js`. The main script lies outside of the version's directory.
 */
export function fileOf(directory, path) {
  const inside = path.startsWith(`/${MANIFEST.version}/`) ? path.slice(MANIFEST.version.length + 1) : path;
  const file = join(directory, normalize(inside));
  return file.startsWith(directory) && existsSync(file) && statSync(file).isFile() ? file : null;
}

function certificate() {
  const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const names = ['-subj', '/CN=source.zoom.us', '-addext', 'subjectAltName=DNS:source.zoom.us,DNS:zoom.us'];
  const args = ['req', '-x509', ...made, ...names, '-keyout', '-', '-out', '-'];
  const pem = execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const spki = new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' });
  return { pem, fingerprint: createHash('sha256').update(spki).digest('base64') };
}

/** How many bytes a second arrive while the network is slow. */
const SLOW_BYTES = 4_000_000;
const SLICES = 20;

async function sendSlowly(response, content) {
  const size = Math.ceil(content.length / SLICES);
  for (let at = 0; at < content.length; at += size) {
    response.write(content.subarray(at, at + size));
    await new Promise((resolve) => setTimeout(resolve, (1000 * size) / SLOW_BYTES));
  }
  response.end();
}

/**
 * Starts the server. Returns `{flags, asked, calls, network, stop}`: the browser's flags, the paths of the files and
 * the calls of Zoom's service that were requested, and the network, whose `state` is `good`, `slow` or `blocked`.
 * Zoom's service never answers while `network.service` is `silent`, and breaks the connection while it is `refusing`.
 */
export async function serveZoom(directory) {
  const { pem, fingerprint } = certificate();
  const asked = [];
  const calls = [];
  const network = { state: 'good', service: 'refusing' };
  const server = createServer({ key: pem, cert: pem }, async (request, response) => {
    if (request.headers.host !== new URL(MANIFEST.host).host) {
      calls.push(request.url);
      if (network.service !== 'silent') response.destroy();
      return;
    }
    const path = new URL(request.url, MANIFEST.host).pathname;
    asked.push(path);
    const file = fileOf(directory, path);
    if (network.state === 'blocked') response.destroy();
    else if (!file) response.writeHead(404, HEADERS).end();
    else {
      const content = readFileSync(file);
      const type = TYPES[extname(file)] || 'application/octet-stream';
      response.writeHead(200, { ...HEADERS, 'content-type': type, 'content-length': content.length });
      if (network.state === 'slow') await sendSlowly(response, content);
      else response.end(content);
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const address = `127.0.0.1:${port}`;
  const hosts = ['source.zoom.us', 'zoom.us'].map((host) => `MAP ${host}:443 ${address}`);
  return {
    asked,
    calls,
    network,
    flags: [
      `--host-resolver-rules=${[...hosts, 'MAP * ~NOTFOUND', 'EXCLUDE localhost', 'EXCLUDE 127.0.0.1'].join(', ')}`,
      `--ignore-certificate-errors-spki-list=${fingerprint}`,
      '--use-fake-device-for-media-stream',
      '--use-fake-ui-for-media-stream',
    ],
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}
