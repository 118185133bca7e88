"""The user and the password of a Redis that stand beside its URL: REDIS_USERNAME and REDIS_PASSWORD.

Beside the URL they may have any characters; within it they must be percent-encoded.
"""

from collections.abc import Mapping

from cottage.errors import SettingsError
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
    """The URL by which a Redis is reached, with user and password: `given`, such as by a flag, else REDIS_URL, else
    `default`. Raises SettingsError."""
    url = given or secret_of(environment, URL) or default
    username, password = value_of(environment, USERNAME) or "", secret_of(environment, PASSWORD) or ""
    try:
        return url_with_login(url, username, password)
    except ValueError as error:
        raise SettingsError(f"{URL}: {error}") from None
