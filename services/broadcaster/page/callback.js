// The page to which the issuer of tokens sends the browser back.

import { finish } from "./sign_in.js";

const query = new URLSearchParams(location.search);
history.replaceState(null, "", location.pathname); // the code stays in no history
try {
  await finish(query);
  location.replace(new URL("./", import.meta.url));
} catch (error) {
  const why = /** @type {HTMLElement} */ (document.getElementById("why"));
  why.textContent = `Signing in did not work. ${error instanceof Error ? error.message : ""}`;
  const back = /** @type {HTMLElement} */ (document.getElementById("back"));
  back.hidden = false;
}
