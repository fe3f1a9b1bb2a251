import { serve, Cookie, CookieMap, WebSocket, CloseEvent, ErrorEvent, MessageEvent } from "./index.js";

export * from "./index.js";

/** Everything that can be imported by name. */
declare const tidewire: {
  serve: typeof serve;
  Cookie: typeof Cookie;
  CookieMap: typeof CookieMap;
  WebSocket: typeof WebSocket;
  CloseEvent: typeof CloseEvent;
  ErrorEvent: typeof ErrorEvent;
  MessageEvent: typeof MessageEvent;
};
export default tidewire;
