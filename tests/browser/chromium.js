// Where Chromium is on this machine.

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Debian's name and the ones that others give it. */
const NAMES = ["chromium", "chromium-browser", "google-chrome"];

/** The path of the one that `CHROMIUM` names, or of the first that is found. */
export function browserPath() {
  const folders = ["/usr/bin", ...(process.env.PATH ?? "").split(delimiter)];
  const named = process.env.CHROMIUM;
  const candidates = named ? [named] : NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  const found = candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  if (found) return found;
  throw new Error(named ? `CHROMIUM names ${named}, which cannot be run` : "Chromium is missing, on Debian: apt-get install chromium");
}
