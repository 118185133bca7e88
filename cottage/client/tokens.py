"""The tokens that a StateClient shows: where they come from, until when one holds, and when the next is asked for.

A token of ours is a JWT. Its claims are read for its end alone and are not trusted: the server decides. How long it
still holds is worked out once, by the server's clock, and then kept by the monotonic one, as the server does it.
Its counterpart in JavaScript is in cottage.js. No token is in any text that this module makes.
"""

import base64
import inspect
import re
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import orjson

from cottage.backoff import LASTING_SECONDS
from cottage.clock import from_iso
from cottage.errors import CottageError, SettingsError
from cottage.fields import finite
from cottage.protocol import MAX_TOKEN_BYTES

TokenSource = str | Callable[[], str | Awaitable[str | None] | None]
"""A token, or who is asked for one at each connection and before its end; "" and None are no token."""

LEAD_SHARE = 1 / 5
"""A new token is asked for when this share of the time that the old one had is left, …"""
MOST_LEAD_SECONDS = 60.0
"""… or so many seconds, and up to twice as long before, so that not all clients of a server ask at once."""
LEAST_WAIT_SECONDS = 1.0
MOST_WAIT_SECONDS = 30.0
"""Between two questions while the old token is all there is."""

_FORM = re.compile(rf"[A-Za-z0-9._~+-]{{1,{MAX_TOKEN_BYTES}}}")
_REASON = re.compile(r"[a-z_]{1,32}")


class NoToken(CottageError):
    """Whoever was asked for a token gave none that could be one. The text says why, and shows nothing of it."""


def checked(token: object) -> str:
    """The token that was given. Raises NoToken for what can be none."""
    if token is None:
        return ""
    if not isinstance(token, str):
        raise NoToken(f"a token is a text, not {type(token).__name__}")
    if token and _FORM.fullmatch(token) is None:
        raise NoToken(f"a token has at most {MAX_TOKEN_BYTES} characters, which are A-Z a-z 0-9 . _ ~ + and -")
    return token


def reason_word(text: str) -> str:
    """The server's word for why a token is refused; `bad` for what is none."""
    return text if _REASON.fullmatch(text) else "bad"


def end_of(token: str) -> float | None:
    """When the token says that it ends, in seconds since 1970; None if it does not say so."""
    claims = token.split(".")[1:2]
    try:
        payload = orjson.loads(base64.urlsafe_b64decode(claims[0] + "=" * (-len(claims[0]) % 4)))
        end = payload["exp"]
    except (ValueError, TypeError, KeyError, IndexError):
        return None
    return float(end) if finite(end) else None


class Tokens:
    """The token of a client's present connection, and what becomes of it. `now`: monotonic, in seconds."""

    def __init__(self, source: TokenSource | None, jitter: Random | None = None) -> None:
        """Raises NoToken for a text that can be no token."""
        self._source = source if callable(source) else checked(source)
        self._jitter = jitter or Random()
        self._shown = ""
        self._end: float | None = None
        """When what is shown ends by the server's clock; None if that is not known, or was worked out already."""
        self._ends_at: float | None = None
        """The same by the monotonic clock."""
        self._ask_at: float | None = None
        self._offered: tuple[int, str] | None = None
        """The id of an `auth` that is not answered, and its token."""
        self._refused: str | None = None
        """The token that was refused last, if no connection has lasted since."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    async def ask(self) -> str:
        """The token to show now; "" is none. Raises NoToken."""
        if isinstance(self._source, str):
            return self._source
        try:
            given = self._source()
            return checked(await given if inspect.isawaitable(given) else given)
        except NoToken:
            raise
        except SettingsError as error:  # its text shows no secret
            raise NoToken(str(error)) from None
        except Exception as error:  # noqa: BLE001  # whatever the user's callback raises; its text may have the token
            raise NoToken(f"the callback for the token raised {type(error).__name__}") from None

    def dialled(self, token: str) -> None:
        """A handshake shows this one."""
        self._shown, self._end = token, end_of(token)
        self._ends_at = self._ask_at = self._offered = None

    @property
    def waits(self) -> bool:
        """Whether it is to be told of the server's messages."""
        return self._end is not None or self._offered is not None

    def heard(self, message: dict[str, Any], server_now: float, now: float) -> None:
        """Take note of a message of the server. The first one says that the handshake was accepted. `server_now`: the
        time there, in seconds since 1970."""
        if self._end is not None:
            self._holds_for(self._end - server_now, now)
            self._end = None
        if self._offered is not None and message.get("id") == self._offered[0]:
            self._answered(message, server_now, now)

    def lasted(self, seconds: float) -> None:
        """A connection has ended that delivered for so long."""
        if seconds >= LASTING_SECONDS:
            self._refused = None

    def _holds_for(self, seconds: float, now: float) -> None:
        lead = min(MOST_LEAD_SECONDS, LEAD_SHARE * max(0.0, seconds))
        self._ends_at = now + seconds
        self._ask_at = self._ends_at - lead * (1 + self._jitter.random()) if callable(self._source) else None

    def left(self, now: float) -> float | None:
        """The seconds that the token still holds; None if that is not known, or it has no end."""
        return None if self._ends_at is None else max(0.0, self._ends_at - now)

    def due(self, now: float) -> bool:
        """Whether a new token is to be asked for now."""
        return self._ask_at is not None and now >= self._ask_at

    def renew(self, now: float) -> None:
        """Ask for a new one now."""
        self._ask_at = now if callable(self._source) else None

    def asked(self, now: float) -> None:
        """A new token was asked for; unless one is accepted, the next question comes after a while."""
        wait = (self.left(now) or 0.0) / 2
        self._ask_at = now + min(MOST_WAIT_SECONDS, max(LEAST_WAIT_SECONDS, wait))

    def is_new(self, token: str) -> bool:
        return token not in ("", self._shown)

    def offer(self, token: str, request_id: int) -> dict[str, Any]:
        """The request that shows a new token over the present connection."""
        self._offered = (request_id, token)
        return {"action": "auth", "token": token, "id": request_id}

    def refused(self) -> bool:
        """The server has refused what was shown. Returns whether to give up: nobody can be asked for another token,
        or this one was refused before."""
        again, self._refused = self._refused == self._shown, self._shown
        return again or not callable(self._source)

    def _answered(self, message: dict[str, Any], server_now: float, now: float) -> None:
        assert self._offered is not None
        token, self._offered = self._offered[1], None
        if message.get("event") != "ACK":
            return  # the old one stands until its end
        self._shown, self._ends_at, self._ask_at = token, None, None
        expires = message.get("expires")
        if expires is not None:
            self._holds_for(from_iso(expires) - server_now, now)
