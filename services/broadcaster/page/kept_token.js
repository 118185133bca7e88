// Where the page keeps its token: in the storage of this tab, which no other tab sees, and which ends with it.

const KEY = "cottage.token";

/** @returns {string | null} */
export function keptToken() {
  return sessionStorage.getItem(KEY);
}

/** @param {string} token */
export function keepToken(token) {
  sessionStorage.setItem(KEY, token);
}

export function forgetToken() {
  sessionStorage.removeItem(KEY);
}
