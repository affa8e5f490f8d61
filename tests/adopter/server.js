// A server on a free port of this machine.
import { once } from 'node:events';
import { createServer } from 'node:http';

/** `{base, close}` */
export async function serve(handle) {
  const server = createServer(handle);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { base: `http://localhost:${port}`, close };
}
