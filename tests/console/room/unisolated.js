// The stack without the headers that isolate the room, as a browser sees it that does not know them.
import { once } from 'node:events';
import { createServer, request } from 'node:http';

const ISOLATING = ['cross-origin-opener-policy', 'cross-origin-embedder-policy'];

/** Starts a server that passes everything on to `base`. Returns its address and `stop`. */
export async function unisolated(base) {
  const server = createServer((incoming, outgoing) => {
    const options = { method: incoming.method, headers: incoming.headers };
    const passed = request(new URL(incoming.url, base), options, (answer) => {
      const headers = Object.entries(answer.headers).filter(([name]) => !ISOLATING.includes(name));
      outgoing.writeHead(answer.statusCode, Object.fromEntries(headers));
      answer.pipe(outgoing);
    });
    passed.on('error', () => outgoing.destroy());
    incoming.pipe(passed);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    address: `http://localhost:${port}`,
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}
