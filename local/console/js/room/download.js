// Downloads files into the browser's cache and reports the progress in bytes.

/** Without any byte for this long, the network counts as blocked. */
const STALLED_MS = 30_000;

function watched(limit) {
  const stop = new AbortController();
  let timer;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stop.abort(), limit);
  };
  alive();
  return { signal: stop.signal, alive, done: () => clearTimeout(timer) };
}

/**
 * Downloads `files`, each `{url, bytes}`, at the same time. `onProgress(loaded, total)` is called with the bytes of
 * all of them. Rejects with the code `sdk_not_loaded` if one of them fails or nothing arrives.
 */
export async function download(files, onProgress, { stalledMs = STALLED_MS } = {}) {
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  const watch = watched(stalledMs);
  let loaded = 0;
  const one = async ({ url }) => {
    const response = await fetch(url, { credentials: 'omit', cache: 'force-cache', signal: watch.signal });
    if (!response.ok) throw new Error(`${url}: ${response.status}`);
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      watch.alive();
      loaded += value.length;
      onProgress(Math.min(loaded, total), total);
    }
  };
  try {
    await Promise.all(files.map(one));
  } catch (problem) {
    throw Object.assign(new Error(problem.message), { code: 'sdk_not_loaded' });
  } finally {
    watch.done();
  }
}
