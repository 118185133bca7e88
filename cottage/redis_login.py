"""What stands beside the URL of a Redis: REDIS_USERNAME and REDIS_PASSWORD, and the files of its TLS.

Beside the URL they may have any characters; within it they must be percent-encoded.
"""

from collections.abc import Mapping

from cottage.errors import SettingsError
from cottage.redis_tls import OPTIONS, url_with_tls
from cottage.secret_values import secret_of
from cottage.urls import has_login, with_login
from cottage.variables import value_of

URL, USERNAME, PASSWORD = "REDIS_URL", "REDIS_USERNAME", "REDIS_PASSWORD"


def url_with_login(url: str, username: str, password: str) -> str:
    """The URL with this user and password in it; empty is none. Raises ValueError where it has some already."""
    if not username and not password:
        return url
    if has_login(url):
        given = " and ".join(name for name, value in ((USERNAME, username), (PASSWORD, password)) if value)
        raise ValueError(f"has a user or password, and {given} is set as well: leave one of them out")
    return with_login(url, username, password)


def redis_url_of(environment: Mapping[str, str], default: str, given: str | None = None) -> str:
    """The URL by which a Redis is reached, with user, password and the files of TLS: `given`, such as by a flag, else
    REDIS_URL, else `default`. Raises SettingsError."""
    url = given or secret_of(environment, URL) or default
    username, password = value_of(environment, USERNAME) or "", secret_of(environment, PASSWORD) or ""
    files = (value_of(environment, name) or "" for name in OPTIONS)
    try:
        return url_with_tls(url_with_login(url, username, password), *files)
    except ValueError as error:
        raise SettingsError(f"{URL}: {error}") from None
