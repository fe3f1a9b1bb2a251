/**
 * The client of Tidewire: the WHATWG's `WebSocket` (https://websockets.spec.whatwg.org) with Bun's additions. Under Bun, Bun's own.
 *
 * Differs from Bun: `close` takes the codes 1000 and 3000 to 4999 only, as the standard says; after a failure of the server's the
 * close event has its code (1002, 1007, 1008, 1009, or 1015 for TLS), where the standard and Bun have 1006.
 */

/// <reference types="node" />

import type { Data } from "./index";

/** PEM or DER. */
type Pem = string | Buffer | Uint8Array | ArrayBuffer;

/** How to speak TLS with a server or a proxy. */
export interface WebSocketTlsOptions {
  /** Whom to trust, instead of the system's authorities. */
  ca?: Pem | Pem[];
  /** What to show a server that asks for a client's certificate; with `key`. */
  cert?: Pem | Pem[];
  key?: Pem | Pem[];
  /** Decrypts `key`. */
  passphrase?: string;
  /** The name to ask for, and that the certificate must be for. Default: the URL's host. */
  serverName?: string;
  /** Node's spelling of `serverName`. */
  servername?: string;
  /** Default true; false takes any certificate, of anybody: for experiments only. */
  rejectUnauthorized?: boolean;
}

export type WebSocketHeaders = Headers | [string, string][] | Record<string, string | number | readonly string[] | undefined>;

export interface WebSocketOptions {
  /** Subprotocols, the first liked best. A server that chooses none, or another, fails the connection. */
  protocols?: string | string[];
  /** One subprotocol, where there is no `protocols`. */
  protocol?: string;
  /** Sent with the handshake. Host may be replaced; Connection, Upgrade and Sec-WebSocket-Version may not. CR, LF and NUL throw. */
  headers?: WebSocketHeaders;
  tls?: WebSocketTlsOptions;
  /** Whether compression is offered; then it is used for what is sent as well. Default true. */
  perMessageDeflate?: boolean;
  /** An HTTP proxy to go through, http:// or https://, with its credentials in the URL. `tls` of the whole counts for it, too, unless it has its own. */
  proxy?: string | URL | { url: string | URL; headers?: WebSocketHeaders; tls?: WebSocketTlsOptions };
}

/** The event after which nothing comes. */
export interface CloseEvent extends Event {
  /** 1005: the server's Close had none. 1006: there was no Close. */
  readonly code: number;
  /** At most 123 bytes. */
  readonly reason: string;
  /** Whether the closing handshake was done. */
  readonly wasClean: boolean;
}
export const CloseEvent: {
  new (type: string, init?: { code?: number; reason?: string; wasClean?: boolean }): CloseEvent;
  readonly prototype: CloseEvent;
};

/** Why a connection could not be opened, or has failed; a CloseEvent follows. */
export interface ErrorEvent extends Event {
  readonly message: string;
  /** Its `code` is ECONNREFUSED, ENOTFOUND, CERT_HAS_EXPIRED, WS_ERR_INVALID_UTF8 and their like. */
  readonly error: Error & { code?: string };
  /** That of `error`. */
  readonly code?: string;
}
export const ErrorEvent: {
  new (type: string, init?: { message?: string; error?: unknown }): ErrorEvent;
  readonly prototype: ErrorEvent;
};

export interface MessageEvent<T = any> extends Event {
  /** A string, or bytes as `binaryType` says. */
  readonly data: T;
  /** The server's, as `ws://host:port`. */
  readonly origin: string;
}
export const MessageEvent: {
  new <T>(type: string, init?: { data?: T; origin?: string }): MessageEvent<T>;
  readonly prototype: MessageEvent;
};

export interface WebSocketEventMap {
  open: Event;
  message: MessageEvent;
  error: ErrorEvent;
  close: CloseEvent;
  /** The server pinged; it has been answered. */
  ping: MessageEvent;
  pong: MessageEvent;
}

/**
 * A connection to a server. It keeps the process alive from its making until its close event.
 *
 * ```ts
 * import { WebSocket } from "tidewire";
 *
 * const ws = new WebSocket("wss://example.com/chat", { headers: { authorization: "Bearer of-a-token" } });
 * ws.addEventListener("open", () => ws.send("hello"));
 * ws.addEventListener("message", (event) => console.log(event.data));
 * ws.addEventListener("close", (event) => console.log(event.code, event.reason));
 * ```
 *
 * Limits: 30 s until it is open, 30 s for the closing handshake, 100 MiB for a message (close 1009).
 */
export interface WebSocket extends EventTarget {
  /** With ws: or wss:, whatever was given. */
  readonly url: string;
  readonly readyState: 0 | 1 | 2 | 3;
  /** What the server chose; "" for none. */
  readonly protocol: string;
  /** As the server wrote them; "" for none. */
  readonly extensions: string;
  /** Bytes that the system has not taken yet. What is sent after the end stays in it. */
  readonly bufferedAmount: number;
  /** Default "nodebuffer", as in Bun (browsers: "blob"). Anything else changes nothing. */
  binaryType: "nodebuffer" | "arraybuffer" | "blob";
  onopen: ((this: WebSocket, event: Event) => any) | null;
  onmessage: ((this: WebSocket, event: MessageEvent) => any) | null;
  onerror: ((this: WebSocket, event: ErrorEvent) => any) | null;
  onclose: ((this: WebSocket, event: CloseEvent) => any) | null;
  /** Throws an InvalidStateError while connecting; after the end it does nothing. A Blob is read first, and what follows waits for it. */
  send(data: Data): void;
  /** 1000 or 3000 to 4999, else an InvalidAccessError; a reason over 123 bytes is a SyntaxError. The event comes when the server has answered. */
  close(code?: number, reason?: string): void;
  /** Cuts the connection off: 1006, without a closing handshake. */
  terminate(): void;
  /** At most 125 bytes. */
  ping(data?: Data): void;
  pong(data?: Data): void;
  /** Reads nothing from the server until it is resumed. false once it is closing. */
  pause(): boolean;
  resume(): boolean;
  readonly isPaused: boolean;
  addEventListener<K extends keyof WebSocketEventMap>(type: K, listener: (this: WebSocket, event: WebSocketEventMap[K]) => any, options?: any): void;
  addEventListener(type: string, listener: any, options?: any): void;
  removeEventListener<K extends keyof WebSocketEventMap>(type: K, listener: (this: WebSocket, event: WebSocketEventMap[K]) => any, options?: any): void;
  removeEventListener(type: string, listener: any, options?: any): void;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSING: 2;
  readonly CLOSED: 3;
}
export const WebSocket: {
  /** http: and https: are other names for ws: and wss:; ws+unix:/path/of/socket:/resource is Bun's. What is no such URL is a SyntaxError. */
  new (url: string | URL, protocols?: string | string[]): WebSocket;
  new (url: string | URL, options?: WebSocketOptions): WebSocket;
  readonly prototype: WebSocket;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSING: 2;
  readonly CLOSED: 3;
};
