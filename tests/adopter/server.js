// A server on a free port of this machine.
import { createServer } from 'node:http';

/** `{base, close}` */
export async function serve(handle) {
  const server = createServer(handle);
  await new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { base: `http://localhost:${server.address().port}`, close };
}
