from pathlib import Path

import pytest

from cottage.errors import SettingsError
from cottage.redis.topology import topology
from cottage.redis_login import redis_url_of, url_with_login

PASSWORD = "a@b/c:d%20#?é "
QUOTED = "a%40b%2Fc%3Ad%2520%23%3F%C3%A9%20"


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("redis://h", f"redis://me:{QUOTED}@h"),
        ("redis://:@h:6379/2", f"redis://me:{QUOTED}@h:6379/2"),
        ("rediss://[::1]:6379?ssl_ca_certs=/a@b", f"rediss://me:{QUOTED}@[::1]:6379?ssl_ca_certs=/a@b"),
        ("unix:///run/a@b.sock?db=1", f"unix://me:{QUOTED}@/run/a@b.sock?db=1"),
        ("redis+sentinel://a,b:2/mymaster/0", f"redis+sentinel://me:{QUOTED}@a,b:2/mymaster/0"),
        (
            "redis+sentinel://a/mymaster?sentinel_password=x@y",
            f"redis+sentinel://me:{QUOTED}@a/mymaster?sentinel_password=x@y",
        ),
        ("rediss+cluster://a:1,b:2", f"rediss+cluster://me:{QUOTED}@a:1,b:2"),
    ],
)
def test_user_and_password_beside_a_url_are_put_into_it(url: str, whole: str) -> None:
    assert url_with_login(url, "me", PASSWORD) == whole
    assert url_with_login(url, "", "") == url
    assert url_with_login(url, "", PASSWORD) == whole.replace("://me:", "://:")
    assert url_with_login(url, "me", "") == whole.replace(f":{QUOTED}", "")
    if "+" in url:
        options = topology(whole).options
        assert (options["username"], options["password"]) == ("me", PASSWORD)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@h",
        "redis://me@h",
        "redis://h?password=s3cret",
        "redis://h?username=me",
        "unix://:s3cret@/run/redis.sock",
        "redis+sentinel://:s3c/ret@h/mymaster",
        "redis+cluster://me:s3cret@a,b",
    ],
)
@pytest.mark.parametrize(
    ("given", "names"),
    [
        (("", "other"), "REDIS_PASSWORD is"),
        (("me", ""), "REDIS_USERNAME is"),
        (("me", "x"), "REDIS_USERNAME and REDIS_PASSWORD is"),
    ],
)
def test_both_places_are_refused(url: str, given: tuple[str, str], names: str) -> None:
    with pytest.raises(ValueError, match=f"has a user or password, and {names} set as well") as refused:
        url_with_login(url, *given)
    assert "s3c" not in str(refused.value)


def test_the_environment_says_where_redis_is_and_who_asks(tmp_path: Path) -> None:
    url, password = tmp_path / "url", tmp_path / "password"
    url.write_text("redis://h\n")
    password.write_text("p@ss\n")
    assert redis_url_of({}, "redis://usual") == "redis://usual"
    beside = {"REDIS_URL_FILE": str(url), "REDIS_PASSWORD_FILE": str(password), "REDIS_USERNAME": "me"}
    assert redis_url_of(beside, "redis://usual") == "redis://me:p%40ss@h"
    assert redis_url_of(beside, "redis://usual", "redis://given") == "redis://me:p%40ss@given"
    with pytest.raises(SettingsError, match=r"^REDIS_URL: has a user or password, and REDIS_PASSWORD"):
        redis_url_of({"REDIS_PASSWORD": "x", "REDIS_URL": "redis://:y@h"}, "redis://usual")
