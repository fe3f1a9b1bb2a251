/** What can be sent: text, or bytes. */
export type Data = string | ArrayBuffer | SharedArrayBuffer | ArrayBufferView;

/** The form in which a socket's binary messages come. */
export type BinaryType = "nodebuffer" | "arraybuffer" | "uint8array" | "blob";

/** A WebSocket of a server. After its end every call is harmless: 0, false, [] or undefined. */
export interface ServerWebSocket<T = undefined> {
  /** What the upgrade attached. */
  data: T;
  /** 1 open, 2 closing, 3 closed. */
  readonly readyState: number;
  /** The peer's IP address; "" on a unix socket. */
  readonly remoteAddress: string;
  /** The topics that it is subscribed to. */
  readonly subscriptions: string[];
  /** Default "nodebuffer". */
  binaryType: BinaryType;
  /** Sends. > 0: so many bytes sent; -1: queued behind backpressure, it will arrive; 0: dropped (or an empty message). */
  send(data: Data): number;
  sendText(data: string): number;
  sendBinary(data: Exclude<Data, string>): number;
  /** Sends to all others on a topic; the worst subscriber's answer, 0 also when nobody else is subscribed. */
  publish(topic: string, data: Data): number;
  publishText(topic: string, data: string): number;
  publishBinary(topic: string, data: Exclude<Data, string>): number;
  /** Subscribing twice is the same as once; an empty name throws. */
  subscribe(topic: string): boolean;
  unsubscribe(topic: string): boolean;
  isSubscribed(topic: string): boolean;
  /** Calls the callback and returns its value. Sends of one turn leave together anyway. */
  cork<R>(callback: (ws: ServerWebSocket<T>) => R): R;
  /** Closes; the close handler runs inside the call. Codes that may not be sent, and reasons over 123 bytes, throw. */
  close(code?: number, reason?: string): void;
  /** Cuts the connection off; the close handler gets 1006. */
  terminate(): void;
  /** At most 125 bytes. */
  ping(data?: Data): number;
  pong(data?: Data): number;
  /** Bytes that the kernel has not taken yet. */
  getBufferedAmount(): number;
}

/** The handlers of all sockets of a server, and their limits. */
export interface WebSocketHandler<T = undefined> {
  /** Types `ws.data`. */
  data?: T;
  open?(ws: ServerWebSocket<T>): void | Promise<void>;
  message?(ws: ServerWebSocket<T>, message: string | Buffer): void | Promise<void>;
  /** What backpressure held back is with the kernel. Once per stall. */
  drain?(ws: ServerWebSocket<T>): void | Promise<void>;
  close?(ws: ServerWebSocket<T>, code: number, reason: string): void | Promise<void>;
  ping?(ws: ServerWebSocket<T>, data: Buffer): void | Promise<void>;
  pong?(ws: ServerWebSocket<T>, data: Buffer): void | Promise<void>;
  /** A handler threw; without this it is the process's uncaught exception. */
  error?(ws: ServerWebSocket<T>, error: unknown): void;
  /** Bytes; default 16 MB. Over it: close 1009. */
  maxPayloadLength?: number;
  /** Seconds of silence; default 120; 0: for ever. */
  idleTimeout?: number;
  /** Bytes; default 1 MB (Bun: 16 MB). While more wait, what is sent is dropped. */
  backpressureLimit?: number;
  /** Default false. */
  closeOnBackpressureLimit?: boolean;
  /** Default true. */
  sendPings?: boolean;
  /** Default false. */
  publishToSelf?: boolean;
  /** The most fragments of one message; default 131,072. Over it: close 1008. */
  maxFragments?: number;
}

export interface ServeOptions<T = undefined> {
  /** Returns a Response, or undefined after an upgrade. */
  fetch(this: Server, request: Request, server: Server): Response | undefined | void | Promise<Response | undefined | void>;
  websocket?: WebSocketHandler<T>;
  /** A Response for a failed fetch; default 500 with no detail unless `development`. */
  error?(this: Server, error: unknown): Response | undefined | void | Promise<Response | undefined | void>;
  /** Default $TIDEWIRE_PORT, $PORT, 3000; 0 picks one. */
  port?: number | string;
  /** Default "0.0.0.0". */
  hostname?: string;
  /** The path of a unix socket, in place of port and hostname. */
  unix?: string;
  development?: boolean;
  reusePort?: boolean;
  ipv6Only?: boolean;
  /** Seconds without progress on an HTTP connection; default 10. */
  idleTimeout?: number;
  /** Bytes; default 128 MB. */
  maxRequestBodySize?: number;
}

export interface Server {
  readonly port: number | undefined;
  readonly hostname: string | undefined;
  readonly url: URL;
  readonly protocol: "http";
  readonly development: boolean;
  readonly pendingRequests: number;
  readonly pendingWebSockets: number;
  /** Makes the request's connection a WebSocket; `open` runs inside the call. false: it is no handshake, or too late. */
  upgrade(request: Request, options?: { headers?: HeadersInit; data?: unknown }): boolean;
  /** Sends to everybody on a topic; as ServerWebSocket's send. */
  publish(topic: string, data: Data): number;
  subscriberCount(topic: string): number;
  requestIP(request: Request): { address: string; port: number; family: "IPv4" | "IPv6" } | null;
  /** Stops listening and closes all sockets with 1001, or cuts them off; resolves after the last one. */
  stop(force?: boolean): Promise<void>;
  ref(): this;
  unref(): this;
}

/** Starts a server. */
export function serve<T = undefined>(options: ServeOptions<T>): Server;
