// The ES module face of "tidewire/bun".
import tidewire from "./bun.cjs";

export default tidewire;
