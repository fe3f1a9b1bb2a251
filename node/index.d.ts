/**
 * Tidewire on Node.js: `Bun.serve()` for WebSockets, from a Rust engine on Node's own thread.
 *
 * Names, numbers and behaviour are those of Bun 1.4.5; where this package differs, the member says so under "Differs from Bun".
 * Under Bun itself, everything here is Bun's own.
 *
 * ```ts
 * import { serve } from "tidewire";
 *
 * serve({
 *   port: 3000,
 *   fetch(req, server) {
 *     if (server.upgrade(req, { data: { name: new URL(req.url).searchParams.get("name") } })) return;
 *     return new Response("Upgrade failed", { status: 400 });
 *   },
 *   websocket: {
 *     data: {} as { name: string | null },
 *     open(ws) { ws.subscribe("room"); },
 *     message(ws, message) { ws.publish("room", `${ws.data.name}: ${message}`); },
 *   },
 * });
 * ```
 */

/// <reference types="node" />

export * from "./client";

type MaybePromise<T> = T | Promise<T>;

/** What a Headers object can be made of. */
type HeadersLike = NonNullable<ConstructorParameters<typeof Headers>[0]>;

/** Bytes that can be sent. They are copied or sent before the call returns; a Blob is read first, and what the same sender sends afterwards waits for it. */
export type Bytes = ArrayBuffer | SharedArrayBuffer | ArrayBufferView | Blob;

/** What can be sent: text, or bytes. A Promise is refused with a TypeError: await it first. */
export type Data = string | Bytes;

/**
 * What became of a message:
 *
 * - `> 0`: so many bytes of payload were sent, or leave at the end of this turn
 * - `-1`: it waits behind backpressure. It will arrive; `drain` tells when everything has gone
 * - `0`: it was dropped, because the socket is closed or more than `backpressureLimit` waits. An empty message also answers 0
 */
export type ServerWebSocketSendStatus = number;

/** 1 open, 2 closing, 3 closed. A socket of a server is never 0, connecting. */
export type WebSocketReadyState = 0 | 1 | 2 | 3;

/** The form in which a socket's binary messages, pings and pongs come. */
export type BinaryType = "nodebuffer" | "arraybuffer" | "uint8array" | "blob";

/**
 * How one direction is compressed: not at all, by a compressor that all sockets share, or by one of the socket's own with a window of that
 * size, which compresses better and costs that much memory for each socket. `"dedicated"` is the largest.
 */
export type WebSocketCompressor =
  | "disable"
  | "shared"
  | "dedicated"
  | "3KB"
  | "4KB"
  | "8KB"
  | "16KB"
  | "32KB"
  | "64KB"
  | "128KB"
  | "256KB";

/**
 * A WebSocket of a server. Handlers get it; `server.publish()` reaches it by its topics.
 *
 * After its end every member is harmless, also after `server.stop()`: sends answer 0, questions answer `false` or `[]`. Only
 * `publish()` still reaches the others.
 */
export interface ServerWebSocket<T = undefined> {
  /** What the upgrade attached. Yours to read and write; typed by `websocket.data`. */
  data: T;

  /** 1 open, 2 closing, 3 closed. */
  readonly readyState: WebSocketReadyState;

  /** The peer's IP address: the true one, never from a header. Empty on a unix socket. */
  readonly remoteAddress: string;

  /** The topics that it is subscribed to; empty once it is closed. */
  readonly subscriptions: string[];

  /** The form of binary messages that come from now on. Default `"nodebuffer"`. A message's memory is its own, never shared. */
  binaryType?: BinaryType;

  /**
   * Sends a message: text for a string, binary for bytes.
   *
   * @param compress Default false. Without effect unless `perMessageDeflate` was agreed on.
   */
  send(data: Data, compress?: boolean): ServerWebSocketSendStatus;
  /** {@link send} for text; anything else throws a TypeError. */
  sendText(data: string, compress?: boolean): ServerWebSocketSendStatus;
  /** {@link send} for bytes. */
  sendBinary(data: Bytes, compress?: boolean): ServerWebSocketSendStatus;

  /**
   * Sends a message to all other sockets of a topic, to itself only with `publishToSelf`. It need not be subscribed itself.
   *
   * @returns as {@link send}, the answer of the worst off subscriber; 0 also when nobody else is subscribed.
   */
  publish(topic: string, data: Data, compress?: boolean): ServerWebSocketSendStatus;
  /** {@link publish} for text. */
  publishText(topic: string, data: string, compress?: boolean): ServerWebSocketSendStatus;
  /** {@link publish} for bytes. */
  publishBinary(topic: string, data: Bytes, compress?: boolean): ServerWebSocketSendStatus;

  /** Subscribes; twice is the same as once. An empty topic throws a TypeError. false once the socket is closed. */
  subscribe(topic: string): boolean;
  /** Unsubscribes. What was published before still arrives. false when it was not subscribed, or is closed. */
  unsubscribe(topic: string): boolean;
  /** Whether it is subscribed; false once it is closed. */
  isSubscribed(topic: string): boolean;

  /**
   * Calls `callback` and gives what it returns; what it throws goes on. It runs also when the socket is closed.
   *
   * Everything that is sent in one turn of the event loop leaves together anyway, so this is never needed.
   */
  cork<R = unknown>(callback: (ws: ServerWebSocket<T>) => R): R;

  /**
   * Closes with a closing handshake. The `close` handler runs inside this call.
   *
   * @param code Default 1000. Differs from Bun: codes that may not be sent (below 1000, 1004 to 1006, 1015 to 2999, 5000 and above) throw a RangeError
   * @param reason At most 123 bytes of UTF-8, else a RangeError.
   */
  close(code?: number, reason?: string): void;

  /** Cuts the connection off, behind what was sent before. The `close` handler runs inside this call and gets 1006 and "". */
  terminate(): void;

  /** Sends a ping of at most 125 bytes; more throws a RangeError. */
  ping(data?: Data): ServerWebSocketSendStatus;
  /** Sends a pong of at most 125 bytes that answers nothing; pings are answered without you. More throws a RangeError. */
  pong(data?: Data): ServerWebSocketSendStatus;

  /** Bytes that wait, because the kernel has not taken them yet. */
  getBufferedAmount(): number;

  /** Reads nothing more until {@link resume}, so that the peer feels backpressure. Sending goes on. */
  pause(): void;
  /** Reads again. */
  resume(): void;
  /** Whether it is paused; false once it is closed. */
  readonly isPaused: boolean;
}

/** The handlers of all sockets of a server, and their limits. */
export interface WebSocketHandler<T = undefined> {
  /** Never read: it types `ws.data` and the `data` of `server.upgrade()`. Write `data: {} as { name: string }`. */
  data?: T;

  /** A message has come: a string for text, else bytes in the socket's `binaryType`, whose default is typed here. */
  message?(ws: ServerWebSocket<T>, message: string | Buffer<ArrayBuffer>): void | Promise<void>;
  /** The socket is open. Runs inside `server.upgrade()`. */
  open?(ws: ServerWebSocket<T>): void | Promise<void>;
  /** What backpressure held back is with the kernel: once for each time that something answered -1. */
  drain?(ws: ServerWebSocket<T>): void | Promise<void>;
  /**
   * The socket has ended, for whatever reason: exactly once for each `open`. 1005 stands for a close without a code, 1006 for an end
   * without a close, also after a violation of the protocol, with its reason.
   */
  close?(ws: ServerWebSocket<T>, code: number, reason: string): void | Promise<void>;
  /** A ping has come, and has been answered. */
  ping?(ws: ServerWebSocket<T>, data: Buffer): void | Promise<void>;
  /** A pong has come. */
  pong?(ws: ServerWebSocket<T>, data: Buffer): void | Promise<void>;
  /**
   * Another handler threw, or its promise was rejected. Without this, a throw is the process's uncaught exception and a rejection an
   * unhandled one; neither harms another socket. Differs from Bun, which does not call it for rejections.
   */
  error?(error: Error, ws: ServerWebSocket<T>): void | Promise<void>;

  /** The longest message, in bytes after decompression: 0 to 4,294,967,295. Above it the socket is closed with 1009. Default 16 MB. */
  maxPayloadLength?: number;
  /**
   * How many bytes may wait for a slow reader, 0 to 4,294,967,295. While more wait, what is sent is dropped (0); one message may go past it.
   * Default 1 MB. Differs from Bun, whose default is 16 MB.
   */
  backpressureLimit?: number;
  /** Whether a socket that reaches `backpressureLimit` is closed. Default false. */
  closeOnBackpressureLimit?: boolean;
  /** Seconds without anything from the peer after which it is closed; 0 for never. Default 120. Differs from Bun: more than 960 is accepted. */
  idleTimeout?: number;
  /** Whether the publisher gets its own message when it is subscribed. Default false. */
  publishToSelf?: boolean;
  /** Whether silent peers are pinged shortly before the idle timeout, so that those that answer stay. Default true. */
  sendPings?: boolean;
  /** The most fragments of one message; above it the socket is closed with 1008. Default 131,072. Bun has no such limit. */
  maxFragments?: number;
  /**
   * Compression (permessage-deflate, RFC 7692) with the peers that offer it; `true` is shared in both directions. Default false.
   * Messages are compressed when `send(data, true)` says so, those of `server.publish()` unless told otherwise.
   */
  perMessageDeflate?: boolean | { compress?: WebSocketCompressor | boolean; decompress?: WebSocketCompressor | boolean };
}

/** One certificate with its key. Text or bytes, PEM or DER. */
export interface TLSOptions {
  /** The private key. */
  key?: string | Bytes | Array<string | Bytes>;
  /** The certificate, with those between it and the root. */
  cert?: string | Bytes | Array<string | Bytes>;
  /** What clients' certificates are checked against. */
  ca?: string | Bytes | Array<string | Bytes>;
  /** Of an encrypted key. */
  passphrase?: string;
  /** The name that clients ask for (SNI) to get this one. */
  serverName?: string;
  /** Whether clients are asked for a certificate. Default false. */
  requestCert?: boolean;
  /** Whether a client without one that is trusted is refused. Default true, where `requestCert` is set. */
  rejectUnauthorized?: boolean;
}

/** Where a request came from. */
export interface SocketAddress {
  address: string;
  port: number;
  family: "IPv4" | "IPv6";
}

/** The parameters in a route's path: `"/orgs/:org/repos/:repo"` has `org` and `repo`. */
type RouteParameters<Path extends string> = string extends Path
  ? Record<string, string>
  : Path extends `${string}:${infer Name}/${infer Rest}`
    ? { [K in Name]: string } & RouteParameters<Rest>
    : Path extends `${string}:${infer Name}`
      ? { [K in Name]: string }
      : {};

/** What a route's handler gets: a Request with the parameters of its path and its cookies. */
export interface BunRequest<Path extends string = string> extends Request {
  /** The values of the path's parameters, percent-decoded. What is no UTF-8 in them is U+FFFD. */
  readonly params: { [K in keyof RouteParameters<Path>]: RouteParameters<Path>[K] } & {};
  /** The request's cookies. What is set or deleted here is sent with the response. */
  readonly cookies: CookieMap;
  clone(): BunRequest<Path>;
}

export namespace Serve {
  type HTTPMethod = "GET" | "POST" | "PUT" | "DELETE" | "PATCH" | "HEAD" | "OPTIONS";

  type ExtractRouteParams<Path extends string> = RouteParameters<Path>;

  /** Answers a request. */
  type Handler<Req extends Request, S, Res> = (request: Req, server: S) => MaybePromise<Res>;

  /**
   * What answers a path:
   *
   * - a Response, read once and sent to every request, with an entity tag by which clients ask whether it has changed
   * - a handler, for every method
   * - one or the other for each method. HEAD is answered as GET; any other method goes on to the next route that fits
   * - `false`: the path is left to `fetch`
   */
  type Route<T, Path extends string> =
    | Response
    | false
    | Handler<BunRequest<Path>, Server<T>, Response | undefined | void>
    | { [M in HTTPMethod]?: Handler<BunRequest<Path>, Server<T>, Response | undefined | void> | Response };

  /** Paths and what answers them. An exact segment goes before a `:parameter`, and that before a `/*` at the end. */
  type Routes<T, R extends string> = { [Path in R]: Route<T, Path> };

  interface Base<T> {
    /** The handlers and limits of WebSockets. Without it `server.upgrade()` throws; `{}` is enough for it. */
    websocket?: WebSocketHandler<T>;
    /**
     * Answers when a handler failed. Without it, or without a Response from it, the client gets 500 with no detail, or with the stack
     * where `development` is true, and the error is printed. It may also upgrade.
     */
    error?(this: Server<T>, error: Error & { code?: string }): MaybePromise<Response | void | undefined>;
    /** Whether clients see the stack of errors. Default false. Differs from Bun, where it is true unless `NODE_ENV` is `production`. */
    development?: boolean;
    /** TLS: one certificate, or several with the names that they are for. The first is for all other names. */
    tls?: TLSOptions | TLSOptions[];
    /** The longest body of a request in bytes; above it, 413. Default 128 MB. */
    maxRequestBodySize?: number;
    /** A name for the server; see {@link Server.id}. */
    id?: string | null;
  }

  interface OnPort {
    /** Default `$TIDEWIRE_PORT`, then `$PORT`, then 3000. 0 picks a free one: see {@link Server.port}. */
    port?: number | string;
    /** The address or name to listen on, without the port. Default "0.0.0.0". */
    hostname?: string;
    unix?: undefined;
    /** Whether several servers may have the port. In worker threads that do, all share one set of topics. Default false. */
    reusePort?: boolean;
    /** Whether an IPv6 socket is for IPv6 only. Default false. */
    ipv6Only?: boolean;
    /** Seconds without progress after which an HTTP connection is closed; 0 for never. Default 10. WebSockets have their own. */
    idleTimeout?: number;
  }

  interface OnUnix {
    /** The path of a unix socket, in place of port and hostname. */
    unix?: string;
    port?: undefined;
    hostname?: undefined;
    idleTimeout?: number;
  }

  /**
   * Answers what no route does: a Response, or nothing after `server.upgrade()`. Anything else is printed, and the client gets 204.
   * Without `fetch` it gets 404.
   */
  type Fetch<T> = (this: Server<T>, request: Request, server: Server<T>) => MaybePromise<Response | void | undefined>;

  /** The options of {@link serve}: a `fetch`, or `routes`, or both. With `websocket` alone every request gets 404. */
  type Options<T = undefined, R extends string = string> = Base<T> &
    (OnPort | OnUnix) &
    (
      | { fetch: Fetch<T>; routes?: Routes<T, R> }
      | { fetch?: Fetch<T>; routes: Routes<T, R> }
      | { fetch?: Fetch<T>; routes?: Routes<T, R>; websocket: WebSocketHandler<T> }
    );
}

/** The options of {@link serve}. */
export type ServeOptions<T = undefined, R extends string = string> = Serve.Options<T, R>;

/** A server that listens. */
export interface Server<T = undefined> {
  /** The port, also when 0 was asked for; undefined on a unix socket. */
  readonly port: number | undefined;
  /** The hostname that it listens on; undefined on a unix socket. */
  readonly hostname: string | undefined;
  /** Where clients find it. */
  readonly url: URL;
  readonly protocol: "http" | "https" | null;
  readonly development: boolean;
  /** The option `id`. Nothing here reads it. */
  readonly id: string;
  /** Requests that are not answered yet, and whose peers are still there. */
  readonly pendingRequests: number;
  /** WebSockets that are open. */
  readonly pendingWebSockets: number;

  /**
   * Makes a request's connection a WebSocket; `open` runs inside this call. Also after `await`, and from `error`. The request's url and
   * headers stay readable.
   *
   * @param options `data` becomes `ws.data`; `headers` are added to the answer, but for those of the handshake itself. Of a
   * `Sec-WebSocket-Protocol` the first name is chosen; without one it is the first that the client offers, and "" chooses none.
   * @returns false when it is no handshake (RFC 6455, 4.2.1), was answered already, or came on no connection: then answer it.
   * @throws a TypeError where the server has no `websocket`, and when a header cannot be sent.
   */
  upgrade(
    request: Request,
    ...options: [T] extends [undefined]
      ? [options?: { headers?: HeadersLike; data?: undefined }]
      : [options: { headers?: HeadersLike; data: T }]
  ): boolean;

  /**
   * Sends a message to all sockets of a topic.
   *
   * @param compress Default true, unlike a socket's. Compressed once, however many subscribers there are.
   * @returns as {@link ServerWebSocket.send}, the answer of the worst off subscriber; 0 also when there is none.
   */
  publish(topic: string, data: Data, compress?: boolean): ServerWebSocketSendStatus;

  /** How many sockets are subscribed to a topic, in all worker threads that share the port. */
  subscriberCount(topic: string): number;

  /** Where a request came from: the true address. null on a unix socket, and for a Request of your own. */
  requestIP(request: Request): SocketAddress | null;

  /** Sets how many seconds a request's connection may make no progress; 0 for ever. */
  timeout(request: Request, seconds: number): void;

  /**
   * Changes handlers, routes and limits, also for open sockets. What is not given stays; so do port, hostname and unix.
   *
   * With `tls`, connections that come from now on get these certificates, and clients must show what it says; those that are there stay
   * as they are. A certificate that is no good throws, and nothing has changed. Of worker threads that share a port each changes its own.
   * TLS cannot be turned on or off. Differs from Bun, which ignores `tls` here.
   */
  reload<R extends string = string>(options: Partial<Serve.Options<T, R>>): Server<T>;

  /** Answers a request without a connection, by `routes` and `fetch`. A string may be a path. What fails without `error` rejects. */
  fetch(request: Request | URL | string): Promise<Response>;

  /**
   * Stops listening, lets requests that are under way be answered, and closes all sockets with 1001; those that do not answer within
   * 10 seconds are cut off.
   *
   * @param force Waits for nobody: requests are cut off, sockets closed with 1001 without waiting for their answer.
   * @returns once the last connection has ended.
   */
  stop(force?: boolean): Promise<void>;

  /** Keeps the process alive, as a new server does. */
  ref(): this;
  /** Lets the process end while the server still listens. */
  unref(): this;

  /** `stop(true)`. */
  [Symbol.dispose](): void;
  /** `stop(true)`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts a server.
 *
 * @throws TypeError that names the option and what was expected; Error when the address cannot be had.
 */
export function serve<T = undefined, R extends string = never>(options: Serve.Options<T, R>): Server<T>;

export type CookieSameSite = "strict" | "lax" | "none";

/** The parts of a cookie. */
export interface CookieInit {
  name?: string;
  value?: string;
  domain?: string;
  /** Default "/". Empty leaves it to the browser. */
  path?: string;
  /** A Date, seconds since 1970, or the text of a date. */
  expires?: number | Date | string;
  secure?: boolean;
  /** Default "lax". */
  sameSite?: CookieSameSite;
  httpOnly?: boolean;
  partitioned?: boolean;
  /** In seconds. It goes before `expires`. */
  maxAge?: number;
}

/** Which cookie to delete: a browser does so only where domain and path are those that it was set with. */
export interface CookieStoreDeleteOptions {
  name: string;
  domain?: string | null;
  path?: string;
}

/** One cookie. What cannot stand in a header throws a TypeError when it is set. */
export class Cookie {
  constructor(name: string, value: string, options?: CookieInit);
  /** Reads a line of Set-Cookie, as {@link Cookie.parse}. */
  constructor(line: string);
  constructor(options: CookieInit);

  readonly name: string;
  /** As it is, not encoded. */
  value: string;
  /** null when it is not set. */
  get domain(): string | null;
  set domain(domain: string | null | undefined);
  path: string;
  expires?: Date;
  secure: boolean;
  sameSite: CookieSameSite;
  partitioned: boolean;
  /** In seconds. */
  maxAge?: number;
  httpOnly: boolean;

  /** Whether a browser would have dropped it by now. */
  isExpired(): boolean;
  /** The value of a Set-Cookie field; the cookie's value is percent-encoded in it. */
  serialize(): string;
  /** {@link serialize}. */
  toString(): string;
  /** The parts that are set. */
  toJSON(): CookieInit;

  /** Reads a line of Set-Cookie. The value is taken as it is; attributes that are unknown or unreadable are ignored. */
  static parse(line: string): Cookie;
  static from(name: string, value: string, options?: CookieInit): Cookie;
}

/** The cookies of a request by name, and what is to change in the browser. */
export class CookieMap implements Iterable<[string, string]> {
  /** From a Cookie field, whose values are percent-decoded, from pairs, or from an object. */
  constructor(init?: string[][] | Record<string, string> | string | null);

  /** The value of the first cookie of that name, or null. */
  get(name: string): string | null;
  has(name: string): boolean;
  readonly size: number;

  set(name: string, value: string, options?: CookieInit): void;
  set(options: CookieInit): void;
  /** Keeps the cookie itself: later changes of it count. */
  set(cookie: Cookie): void;

  delete(name: string): void;
  delete(options: CookieStoreDeleteOptions): void;
  delete(name: string, options: Omit<CookieStoreDeleteOptions, "name">): void;

  /** The values of the Set-Cookie fields that make the changes in the browser. `serve()` sends those of `req.cookies` itself. */
  toSetCookieHeaders(): string[];
  /** The first value of each name. */
  toJSON(): Record<string, string>;

  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  forEach(callback: (value: string, key: string, map: CookieMap) => void): void;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}
