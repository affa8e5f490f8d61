/**
 * A client of the HTTP API for pages and back ends. Paths, bodies and responses are typed from `openapi.yaml`. This
 * module adds the caller's token to each request and turns errors into one kind of exception.
 */
import createClient, { type Client } from 'openapi-fetch';
import type { components, paths } from './schema.js';

export type { components, operations, paths } from './schema.js';
/** The API's schemas: `Schemas["OwnerSession"]`, `Schemas["JoinPayload"]`, … */
export type Schemas = components['schemas'];
export type Problem = Schemas['Problem'];
/** A caller's calls. Responses are typed as JSON. Use `parseAs: "text"` for CSV and calendar files. */
export type LiveClasses = Client<paths, 'application/json'>;

export interface Options {
  /** The address of the API, which is the stack's output `ApiUrl`. */
  baseUrl: string;
  /**
   * Returns the caller's token. It is called before each request, so that the token can be renewed. A guest's page has
   * none.
   */
  token?: () => string | Promise<string>;
  /** Replaces the global `fetch`. */
  fetch?: (request: Request) => Promise<Response>;
}

/**
 * A client for one caller.
 *
 * @example
 * const api = liveClasses({ baseUrl, token: () => session.accessToken });
 * const { items } = await answer(api.GET("/v1/me/sessions"));
 */
export function liveClasses({ baseUrl, token, fetch }: Options): LiveClasses {
  const api = createClient<paths, 'application/json'>(fetch ? { baseUrl, fetch } : { baseUrl });
  api.use({
    async onRequest({ request }) {
      if (token) request.headers.set('authorization', `Bearer ${await token()}`);
      return request;
    },
  });
  return api;
}

/** A response other than a success. Show its `message`, and decide by its `code`. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  /**
   * A stable code of the API. `gateway`: the response did not come from the API, as when it throttles. `not_modified`:
   * the request had `If-None-Match`, and {@link answer} was not told what to return then.
   */
  readonly code: Problem['code'] | 'gateway' | 'not_modified';
  readonly status: number;
  /** The seconds after which to try again, if the API sent them. */
  readonly retryAfter: number | undefined;
  readonly problem: Problem | undefined;

  constructor(response: Response, body: unknown) {
    const problem = isProblem(body) ? body : undefined;
    super(problem?.detail ?? `The API answered ${response.status}.`);
    this.problem = problem;
    this.code = problem?.code ?? (response.status === 304 ? 'not_modified' : 'gateway');
    this.status = response.status;
    const seconds = Number(response.headers.get('retry-after'));
    this.retryAfter = seconds > 0 ? seconds : undefined;
  }

  /** The message for a field of a form, such as `starts_at`. */
  of(field: string): string | undefined {
    return this.problem?.errors?.find((error) => error.field === field)?.message;
  }
}

/**
 * There was no response, as without a connection. Try again: every call with an `Idempotency-Key` or by reference is
 * safe.
 */
export class NetworkError extends Error {
  override readonly name = 'NetworkError';

  constructor(cause: unknown) {
    super('The API did not answer.', { cause });
  }
}

function isProblem(body: unknown): body is Problem {
  return typeof body === 'object' && body !== null && 'code' in body && 'detail' in body;
}

/** The result of a call of `openapi-fetch`. */
interface Outcome<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/**
 * Returns the body of a success. Throws a {@link ProblemError} for another response, and a {@link NetworkError} without
 * one. An abort by the caller is thrown as it is.
 *
 * @example
 * // `unchanged` is returned for a 304 response to `If-None-Match`.
 * polls = await answer(api.GET("/v1/sessions/{id}/polls", request), { unchanged: polls });
 */
export async function answer<T>(call: Promise<Outcome<T>>): Promise<T>;
export async function answer<T, U>(call: Promise<Outcome<T>>, options: { unchanged: U }): Promise<T | U>;
export async function answer<T, U>(call: Promise<Outcome<T>>, options?: { unchanged: U }): Promise<T | U> {
  const { data, error, response } = await call.catch((cause: unknown) => {
    throw isAbort(cause) ? cause : new NetworkError(cause);
  });
  if (response.status === 304 && options) return options.unchanged;
  if (!response.ok) throw new ProblemError(response, error);
  return data as T;
}

function isAbort(cause: unknown): boolean {
  return cause instanceof Error && (cause.name === 'AbortError' || cause.name === 'TimeoutError');
}

/**
 * Creates a key for one press of a button. Send the same key with every repetition of the request, so that a second
 * click or a lost response creates no second class. Create a new key when the form is opened again.
 */
export function idempotencyKey(): string {
  return crypto.randomUUID();
}
