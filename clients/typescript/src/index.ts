/**
 * The live classes' HTTP API for a page or a back end. Paths, bodies and answers are typed from `openapi.yaml`; what is here
 * beside that is what every caller needs: a token on each request, and errors as one kind of exception.
 */
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type { components, operations, paths } from "./schema.js";
/** What the API speaks of: `Schemas["OwnerSession"]`, `Schemas["JoinPayload"]`, … */
export type Schemas = components["schemas"];
export type Problem = Schemas["Problem"];
export type LiveClasses = Client<paths>;

export interface Options {
  /** Where the API is: the stack's output `ApiUrl`. */
  baseUrl: string;
  /** The caller's token of the host platform, asked for before each request, so that it may be renewed. */
  token: () => string | Promise<string>;
  /** Another `fetch` than the global one. */
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
      request.headers.set("authorization", `Bearer ${await token()}`);
      return request;
    },
  });
  return api;
}

/** An answer that is no success. Show `message`, act on `code`. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";
  /** One of the API's stable words; `gateway` where the API was not reached, as when it throttles. */
  readonly code: Problem["code"] | "gateway";
  readonly status: number;
  /** Seconds after which to try again, where the API says so. */
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

  /** What is wrong with a form's field, such as `starts_at`. */
  of(field: string): string | undefined {
    return this.problem?.errors?.find((error) => error.field === field)?.message;
  }
}

function isProblem(body: unknown): body is Problem {
  return typeof body === "object" && body !== null && "code" in body && "detail" in body;
}

/** What a call of `openapi-fetch` comes to. */
interface Outcome<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The body of a success; anything else is thrown as a {@link ProblemError}. */
export async function answer<T>(call: Promise<Outcome<T>>): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok) throw new ProblemError(response, error);
  return data as T;
}

/**
 * A key for one press of a button: the same for every repeat of the same request, so that a second click or a lost answer
 * makes no second class. Draw a new one when the form is opened anew.
 */
export function idempotencyKey(): string {
  return crypto.randomUUID();
}
