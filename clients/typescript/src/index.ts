/**
 * A client of the HTTP API for pages and back ends. Paths, bodies and responses are typed from `openapi.yaml`. This module
 * adds the caller's token to each request and turns errors into one kind of exception.
 */
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type { components, operations, paths } from "./schema.js";
/** The API's schemas: `Schemas["OwnerSession"]`, `Schemas["JoinPayload"]`, … */
export type Schemas = components["schemas"];
export type Problem = Schemas["Problem"];
export type LiveClasses = Client<paths>;

export interface Options {
  /** The address of the API, which is the stack's output `ApiUrl`. */
  baseUrl: string;
  /** Returns the caller's token. It is called before each request, so that the token can be renewed. A guest's page has none. */
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
  const api = createClient<paths>(fetch ? { baseUrl, fetch } : { baseUrl });
  api.use({
    async onRequest({ request }) {
      if (token) request.headers.set("authorization", `Bearer ${await token()}`);
      return request;
    },
  });
  return api;
}

/** A response other than a success. Show its `message`, and decide by its `code`. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";
  /** A stable code of the API, or `gateway` if the response did not come from the API, as when it throttles. */
  readonly code: Problem["code"] | "gateway";
  readonly status: number;
  /** The seconds after which to try again, if the API sent them. */
  readonly retryAfter: number | undefined;
  readonly problem: Problem | undefined;

  constructor(response: Response, body: unknown) {
    const problem = isProblem(body) ? body : undefined;
    super(problem?.detail ?? `The API answered ${response.status}.`);
    this.problem = problem;
    this.code = problem?.code ?? "gateway";
    this.status = response.status;
    const seconds = Number(response.headers.get("retry-after"));
    this.retryAfter = seconds > 0 ? seconds : undefined;
  }

  /** The message for a field of a form, such as `starts_at`. */
  of(field: string): string | undefined {
    return this.problem?.errors?.find((error) => error.field === field)?.message;
  }
}

function isProblem(body: unknown): body is Problem {
  return typeof body === "object" && body !== null && "code" in body && "detail" in body;
}

/** The result of a call of `openapi-fetch`. */
interface Outcome<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** Returns the body of a success. Throws a {@link ProblemError} otherwise. */
export async function answer<T>(call: Promise<Outcome<T>>): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok) throw new ProblemError(response, error);
  return data as T;
}

/**
 * Creates a key for one press of a button. Send the same key with every repetition of the request, so that a second click
 * or a lost response creates no second class. Create a new key when the form is opened again.
 */
export function idempotencyKey(): string {
  return crypto.randomUUID();
}
