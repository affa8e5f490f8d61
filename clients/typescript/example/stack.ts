/** Shared by the examples: the routes that only the local stack has, tokens of its issuer, and a line of output. */
import { liveClasses } from '../src/index.js';

declare const process: { argv: string[]; exitCode: number };
declare const console: { log(text: string): void; error(text: unknown): void };

/** The addresses of the local stack and of the API, if they differ: `node build/example/class.js <stack> <api>`. */
export const base = process.argv[2] ?? 'http://localhost:4000';
const api = process.argv[3] ?? base;

/** Calls a route that only the local stack has. */
export async function local(path: string, body?: object): Promise<any> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body ?? {}) };
  const response = await fetch(base + path, init);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  const text = await response.text();
  return text ? JSON.parse(text) : undefined;
}

/** Reads a route that only the local stack has. */
export async function look(path: string): Promise<any> {
  return (await fetch(base + path)).json();
}

/** A client for one caller, with a token of the stack's own issuer. */
export function as(caller: { sub: string; role: string; email?: string; name?: string }) {
  return liveClasses({ baseUrl: api, token: async () => (await local('/local/tokens', caller)).token });
}

export function print(label: string, detail: unknown) {
  console.log(`${label.padEnd(34)}${String(detail)}`);
}

/** Ends the program with an error unless the value is the expected one. */
export function expect(label: string, value: unknown, expected: unknown) {
  print(label, value);
  if (String(value) !== String(expected)) throw new Error(`${label}: ${String(value)} instead of ${String(expected)}`);
}

/** Runs an example. The program ends with an error if the example throws one. */
export async function play(example: () => Promise<void>) {
  try {
    await example();
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  }
}
