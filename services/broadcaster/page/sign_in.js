// Signing in where the broadcaster names who issues tokens: an authorization code with PKCE (RFC 7636, S256) and `state`
// (RFC 6749). `begin` leaves the page; callback.js, to which the issuer sends the browser back, calls `finish`.

import { keepToken } from "./kept_token.js";

const KEY = "cottage.sign-in"; // what this tab asked for: its state, and the verifier of its challenge
const WORD = /^[a-z_]{1,40}$/;
const TIMEOUT = 10_000; // ms

/**
 * What the broadcaster says of tokens in the page that it serves; null where it says nothing. `asks`: it wants one.
 * @type {{ asks: boolean, url?: string, token_url?: string, client_id?: string, scope?: string } | null}
 */
export const signIn = JSON.parse(
  /** @type {HTMLMetaElement | null} */ (document.querySelector('meta[name="cottage-access"]'))?.content ?? "null",
);

const redirect = () => new URL("callback.html", import.meta.url).href;

/** @param {ArrayBuffer | Uint8Array<ArrayBuffer>} bytes */
function base64url(bytes) {
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

/** Go to who issues tokens. Throws an Error whose text can be shown. */
export async function begin() {
  if (signIn?.url === undefined) return;
  if (!isSecureContext) throw new Error("Signing in needs HTTPS.");
  const [state, verifier] = [random(), random()];
  const challenge = base64url(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)));
  sessionStorage.setItem(KEY, JSON.stringify({ state, verifier }));
  const address = new URL(signIn.url);
  const fields = {
    response_type: "code",
    client_id: signIn.client_id ?? "",
    redirect_uri: redirect(),
    scope: signIn.scope ?? "",
    state,
    code_challenge: challenge,
    code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries(fields)) if (value !== "") address.searchParams.set(name, value);
  location.assign(address);
}

/**
 * Exchange the code that the issuer has sent for a token, and keep that.
 * @param {URLSearchParams} query Of the address to which the browser was sent.
 * Throws an Error whose text can be shown.
 */
export async function finish(query) {
  const asked = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  sessionStorage.removeItem(KEY); // one answer for one question
  const [state, code, error] = ["state", "code", "error"].map((name) => query.get(name));
  if (asked === null || state !== asked.state) throw new Error("This tab did not ask for that sign-in.");
  if (error !== null) throw new Error(WORD.test(error) ? `It was refused: ${error}.` : "It was refused.");
  if (code === null || signIn?.token_url === undefined) throw new Error("There is no code to exchange.");
  keepToken(await exchanged(signIn.token_url, code, asked.verifier));
}

/**
 * @param {string} url
 * @param {string} code
 * @param {string} verifier
 * @returns {Promise<string>}
 */
async function exchanged(url, code, verifier) {
  const body = new URLSearchParams({
    grant_type: "authorization_code",
    code,
    redirect_uri: redirect(),
    client_id: signIn?.client_id ?? "",
    code_verifier: verifier,
  });
  let token;
  try {
    const signal = AbortSignal.timeout(TIMEOUT);
    const answer = await fetch(url, { method: "POST", body, credentials: "omit", cache: "no-store", signal });
    token = answer.ok ? (await answer.json()).access_token : null;
  } catch {
    throw new Error("The issuer of tokens does not answer.");
  }
  if (typeof token !== "string" || token === "") throw new Error("The issuer gave no token.");
  return token;
}
