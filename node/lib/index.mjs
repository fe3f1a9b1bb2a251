// The ES module face of the package.
import tidewire from "./index.cjs";

export const { serve } = tidewire;
export default tidewire;
