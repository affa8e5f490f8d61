// The types of the API client's calls, from the schema that `clients/typescript` generates from openapi.yaml. The pages
// write a path as a template: the calls of `/v1/sessions/{id}` have the path `/v1/sessions/${string}`.
import type { components, paths } from '../../../clients/typescript/src/schema.js';

export type Schemas = components['schemas'];
type Method = 'get' | 'post' | 'put' | 'delete';

type WithoutQuery<P extends string> = P extends `${infer Path}?${string}` ? Path : P;
// biome-ignore lint/suspicious/noExplicitAny: an untyped value of a page has the type `any`.
type Segment<S extends string> = string extends S ? '*' : `${any}` extends S ? '*' : S extends `{${string}}` ? '*' : S;
/** The segments of a path. A variable one is `*`. */
type Segments<P extends string> = P extends `${infer Head}/${infer Tail}`
  ? [Segment<Head>, ...Segments<Tail>]
  : [Segment<P>];
/** Whether a path fits one of openapi.yaml. A parameter fits every segment. */
type Fits<Given, Declared> = Declared extends [infer D, ...infer Ds]
  ? Given extends [infer G, ...infer Gs]
    ? '*' extends D
      ? Fits<Gs, Ds>
      : [G, D] extends [D, G]
        ? Fits<Gs, Ds>
        : false
    : false
  : Given extends []
    ? true
    : false;

/** The operation of a path that a page wrote, or `never`. */
type OperationOf<M extends Method, P extends string> = P extends string ? Find<M, WithoutQuery<P>> : never;
type Find<M extends Method, P extends string> = P extends keyof paths
  ? Exact<M, P>
  : {
      [K in keyof paths]: paths[K] extends { [m in M]: object }
        ? Fits<Segments<P>, Segments<K>> extends true
          ? Exact<M, K>
          : never
        : never;
    }[keyof paths];
type Exact<M extends Method, K extends keyof paths> = paths[K] extends { [m in M]: infer O } ? O : never;

/** The arguments after a path, or one that no call has, because openapi.yaml has no such operation. */
type Arguments<M extends Method, P extends string, Rest extends unknown[]> = [OperationOf<M, P>] extends [never]
  ? [noSuchOperation: never]
  : Rest;

type Json<R> = R extends { content: { 'application/json': infer Body } } ? Body : null;
type Success<R> =
  Extract<keyof R, 200 | 201 | 202 | 204> extends infer Status
    ? Status extends keyof R
      ? Json<R[Status]>
      : never
    : never;
export type ResponseOf<M extends Method, P extends string> =
  OperationOf<M, P> extends { responses: infer R } ? Success<R> : never;
export type BodyOf<M extends Method, P extends string> =
  OperationOf<M, P> extends { requestBody?: infer B } ? Json<NonNullable<B>> : undefined;
export type ItemOf<P extends string> = ResponseOf<'get', P> extends { items: (infer Item)[] } ? Item : never;

type WithBody<M extends Method, P extends string> = Arguments<
  M,
  P,
  [body?: BodyOf<M, P>, headers?: Record<string, string>]
>;

export interface Call {
  as?: string;
  method?: string;
  path: string;
  body?: unknown;
  raw?: string;
  headers?: Record<string, string>;
  text?: boolean;
  background?: boolean;
}

/** The calls of one person. */
export interface Api {
  get<P extends string>(path: P, ...rest: Arguments<'get', P, [background?: boolean]>): Promise<ResponseOf<'get', P>>;
  post<P extends string>(path: P, ...rest: WithBody<'post', P>): Promise<ResponseOf<'post', P>>;
  put<P extends string>(path: P, ...rest: WithBody<'put', P>): Promise<ResponseOf<'put', P>>;
  delete<P extends string>(path: P, ...rest: Arguments<'delete', P, []>): Promise<ResponseOf<'delete', P>>;
  /** One call with its status and headers. */
  call<P extends string, M extends Uppercase<Method> = 'GET'>(
    options: Omit<Call, 'as' | 'body'> & { path: P; method?: M; body?: BodyOf<Lowercase<M>, P> },
    ...rest: Arguments<Lowercase<M>, P, []>
  ): Promise<{ status: number; data: ResponseOf<Lowercase<M>, P>; headers: Headers }>;
}
/** Reads a CSV with all its pages. */
export type Csv = <P extends string>(
  as: string,
  path: P,
  ...rest: Arguments<'get', P, [query?: string]>
) => Promise<string>;
/** Reads all pages of a list. */
export type All = <P extends string>(
  as: string,
  path: P,
  ...rest: Arguments<'get', P, [most?: number]>
) => Promise<ItemOf<P>[]>;
