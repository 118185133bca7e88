"""The doorkeeper of a fan-out server: judges the tokens that clients show, and says when the time of one is over."""

import asyncio

from common import logs
from common.auth.authentication import Authentication, TokenRefused, lifetime
from common.auth.presented import form, presented
from common.fanout.first_frame import FirstFrame
from common.fanout.frames import ClientConnection
from common.fanout.limits import bucket, exchanged
from common.web.proxies import Header
from cottage import protocol
from cottage.clock import Clock
from cottage.grant import Grant
from cottage.log import Throttled
from cottage.protocol import Code, Request, RequestRefused

log = logs.get_logger()
throttled = Throttled(log)


class Doorkeeper:
    """Gives connections what their tokens allow. Without `authentication` nobody is asked."""

    def __init__(self, authentication: Authentication | None, clock: Clock, token_seconds: float) -> None:
        """`token_seconds`: the time for a first message with a token."""
        self._authentication = authentication
        self._clock = clock
        self._token_seconds = token_seconds

    @property
    def asks(self) -> bool:
        return self._authentication is not None

    def look_at(self, connection: ClientConnection, header: Header) -> TokenRefused | None:
        """Judge the token of a handshake. Returns why it is refused, if its sender reads the answer; whoever cannot
        is granted the connection, and is told by its close. Without a token the first message has to bring one."""
        shown = presented(header) if self.asks else None
        if shown is None:
            connection.first_frame = FirstFrame() if self.asks else None
            return None
        try:
            if shown.wrong:
                raise TokenRefused(shown.wrong)
            self._let_in(connection, shown.token)
        except TokenRefused as refused:
            _say(connection, refused)
            if shown.by_header:
                return refused
            connection.turned_away = refused.reason
        return None

    async def first_message(self, connection: ClientConnection) -> Request:
        """Wait for the request with a token that opens the connection. Raises TokenRefused, and ConnectionClosed."""
        try:
            async with asyncio.timeout(self._token_seconds):
                request = protocol.parse_request(await connection.recv())
            if request.action != "auth":
                raise TokenRefused("missing")
            if wrong := form(request.token):
                raise TokenRefused(wrong)
            self._let_in(connection, request.token)
        except TimeoutError:
            refused = TokenRefused("missing")
        except RequestRefused as error:
            refused = TokenRefused("too_long" if error.code is Code.BAD_TOKEN else "bad")
        except TokenRefused as error:
            refused = error
        else:
            return request
        _say(connection, refused)
        raise refused

    def renew(self, connection: ClientConnection, request: Request) -> None:
        """Give a connection what another token allows. Raises RequestRefused; then the one before stands."""
        before = connection.grant
        try:
            if wrong := form(request.token):
                raise TokenRefused(wrong)
            grant = self._judge(request.token)
            if grant.principal != before.principal:
                raise TokenRefused("bad", grant.principal)
        except TokenRefused as refused:
            raise RequestRefused(Code.BAD_TOKEN, str(refused), request.request_id) from None
        self._give(connection, grant)
        now = connection.loop.time()
        connection.requests = exchanged(connection.requests, grant.requests_per_second, now)
        connection.inbound = exchanged(connection.inbound, grant.bytes_per_second, now)

    def over(self, connection: ClientConnection, now: float) -> str:
        """One word for why the time of a connection's token is over; empty while it is not. `now`: the loop's."""
        if connection.ends_at is not None and now >= connection.ends_at:
            return "expired"
        return "denied" if self._authentication is not None and self._authentication.revoked(connection.grant) else ""

    def _let_in(self, connection: ClientConnection, token: str) -> None:
        self._give(connection, self._judge(token))
        connection.requests = bucket(connection.grant.requests_per_second)
        connection.inbound = bucket(connection.grant.bytes_per_second)

    def _judge(self, token: str) -> Grant:
        assert self._authentication is not None
        return self._authentication.grant(token)

    def _give(self, connection: ClientConnection, grant: Grant) -> None:
        """From now on its time is counted by the monotonic clock: no step of the wall clock ends or prolongs it."""
        seconds = lifetime(grant, self._clock.time())
        connection.ends_at = None if seconds is None else connection.loop.time() + seconds
        connection.grant = grant


def _say(connection: ClientConnection, refused: TokenRefused) -> None:
    if refused.reason == "missing":  # a health check, or a page that has yet to ask its user
        log.debug("token_refused", peer=connection.peer, reason=refused.reason)
        return
    sub = {"sub": refused.principal} if refused.principal else {}
    key = f"{connection.address} {refused.reason}"
    throttled.warning("token_refused", key, peer=connection.peer, reason=refused.reason, **sub)
