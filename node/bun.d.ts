// The global `Bun` that importing "tidewire/bun" provides. A project that has bun-types installed needs no other types.
import tidewire = require("./index.js");

declare global {
  namespace Bun {
    const serve: typeof tidewire.serve;
    const Cookie: typeof tidewire.Cookie;
    const CookieMap: typeof tidewire.CookieMap;
    type Cookie = tidewire.Cookie;
    type CookieMap = tidewire.CookieMap;
    type CookieInit = tidewire.CookieInit;
    type CookieSameSite = tidewire.CookieSameSite;
    type CookieStoreDeleteOptions = tidewire.CookieStoreDeleteOptions;
    type BunRequest<Path extends string = string> = tidewire.BunRequest<Path>;
    type Server<T = undefined> = tidewire.Server<T>;
    type ServerWebSocket<T = undefined> = tidewire.ServerWebSocket<T>;
    type ServerWebSocketSendStatus = tidewire.ServerWebSocketSendStatus;
    type SocketAddress = tidewire.SocketAddress;
    type TLSOptions = tidewire.TLSOptions;
    type WebSocketCompressor = tidewire.WebSocketCompressor;
    type WebSocketHandler<T = undefined> = tidewire.WebSocketHandler<T>;
    type WebSocketReadyState = tidewire.WebSocketReadyState;
    namespace Serve {
      type Options<T = undefined, R extends string = string> = tidewire.Serve.Options<T, R>;
      type Routes<T, R extends string> = tidewire.Serve.Routes<T, R>;
      type HTTPMethod = tidewire.Serve.HTTPMethod;
      type ExtractRouteParams<Path extends string> = tidewire.Serve.ExtractRouteParams<Path>;
    }
  }
}

export = tidewire;
