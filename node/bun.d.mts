// The global `Bun`, for a module that imports "tidewire/bun".
import "./bun.js";

export { default } from "./index.mjs";
