// The ES module face of the package.
import tidewire from "./index.cjs";

export const { serve, Cookie, CookieMap, WebSocket, CloseEvent, ErrorEvent, MessageEvent } = tidewire;
export default tidewire;
