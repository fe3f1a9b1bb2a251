import { serve, Cookie, CookieMap } from "./index.js";

export * from "./index.js";

/** Everything that can be imported by name. */
declare const tidewire: { serve: typeof serve; Cookie: typeof Cookie; CookieMap: typeof CookieMap };
export default tidewire;
