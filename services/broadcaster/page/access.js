// The page's token: asked for where the server asks for one, kept for this tab alone, and shown nowhere.

import { setText } from "./cells.js";
import { begin, signIn } from "./sign_in.js";
import { duration } from "./table.js";
import { forgetToken, keepToken, keptToken } from "./kept_token.js";

const TOKEN = /^[A-Za-z0-9._~+-]{1,4096}$/; // as cottage.js takes one
const ENDS_SOON = 300_000; // ms

/** @type {{ [reason: string]: string }} What the server's words for a refused token mean. */
const REASONS = {
  missing: "",
  expired: "The token has expired.",
  early: "The token is not valid yet.",
  denied: "The token has been withdrawn.",
  unknown_key: "The server does not know the key of that token.",
};

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const dialog = /** @type {HTMLDialogElement} */ (byId("access"));
const input = /** @type {HTMLInputElement} */ (byId("access-token"));

/** Asks a person for a token, and gives it to the connection. */
export class Access {
  /** @type {((token: string) => void) | null} Takes the token that a connection waits for. */
  #give = null;
  /** @type {string | null} The last one that was refused. It is not offered twice: the connection would give up. */
  #refused = null;
  #onToken;

  /** @param {() => void} onToken Called when there is a new token and no connection waits for one. */
  constructor(onToken) {
    this.#onToken = onToken;
    byId("access-form").addEventListener("submit", (event) => this.#submitted(event));
    byId("access-sign-in").addEventListener("click", () => begin().catch((error) => this.#say(error.message)));
    byId("access-renew").addEventListener("click", () => this.#open(""));
    byId("access-out").addEventListener("click", () => {
      forgetToken();
      location.reload(); // what was shown goes with it
    });
    dialog.addEventListener("cancel", (event) => {
      if (this.waits) event.preventDefault(); // there is nothing behind it
    });
  }

  /** Whether a connection waits for somebody to give a token. */
  get waits() {
    return this.#give !== null;
  }

  /**
   * The token for a connection; the promise of one where a person has to be asked.
   * @param {string | null} refusal The server's word for why it refused the last one.
   * @returns {string | null | Promise<string>}
   */
  token(refusal) {
    const kept = keptToken();
    if (refusal === null && (kept !== null || signIn === null || !signIn.asks)) return kept;
    if (refusal !== null) {
      this.#refused = kept;
      forgetToken();
    }
    return new Promise((resolve) => {
      this.#give = resolve;
      this.#open(refusal === null ? "" : (REASONS[refusal] ?? "The server does not accept that token."));
    });
  }

  /** @param {number | null} left The milliseconds that the present token still holds. */
  show(left) {
    const soon = left !== null && left < ENDS_SOON;
    byId("access-ends").hidden = !soon;
    setText(byId("access-ends-words"), left === 0 ? "Your access has ended." : "Your access ends soon.");
    setText(byId("access-left"), left !== null && left > 0 && soon ? `In ${duration(left)}.` : "");
    byId("access-out").hidden = keptToken() === null;
  }

  /** @param {string} why */
  #open(why) {
    byId("access-sign-in").hidden = signIn?.url === undefined;
    this.#say(why);
    if (!dialog.open) dialog.showModal();
  }

  /** @param {string} why */
  #say(why) {
    setText(byId("access-why"), why);
  }

  /** @param {Event} event */
  #submitted(event) {
    event.preventDefault();
    const token = input.value.trim().replace(/^bearer\s+/i, "");
    input.value = "";
    if (!TOKEN.test(token)) {
      this.#say("That is no token.");
      return;
    }
    if (token === this.#refused) {
      this.#say("That is the same token again.");
      return;
    }
    keepToken(token);
    dialog.close();
    const give = this.#give;
    this.#give = null;
    if (give === null) this.#onToken();
    else give(token);
  }
}
