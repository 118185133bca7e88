"""What the web page is told of tokens, and whom it may ask beside its own server. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PageAccess:
    """What the page is told of tokens, and whom it may ask."""

    asks: bool = False
    """Whether the server asks for a token; a page that is not told finds out after some seconds."""
    api_url: str = ""
    """The physics API that the page may ask; "" is none, here and below."""
    login_url: str = ""
    """Where a browser is sent to sign in (an authorization endpoint of OAuth 2)."""
    token_url: str = ""
    """Where the code that it brings back is exchanged for a token."""
    client_id: str = ""
    scope: str = ""

    def told(self) -> dict[str, object]:
        """What stands in the page; nothing where nobody is asked."""
        if not (self.asks or self.login_url):
            return {}
        sign_in = {
            "url": self.login_url,
            "token_url": self.token_url,
            "client_id": self.client_id,
            "scope": self.scope,
        }
        return {"asks": self.asks, **(sign_in if self.login_url else {})}


NOBODY_IS_ASKED = PageAccess()
