import pytest

from cottage.redis import connect


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("redis://127.0.0.1:6379", 0),
        ("redis://127.0.0.1:6379/2", 2),
        ("redis://user:secret@127.0.0.1:6379/15", 15),
        ("redis://127.0.0.1:6379?db=3", 3),
        ("rediss://127.0.0.1/4", 4),
        ("unix:///run/redis.sock?db=5", 5),
        ("redis+sentinel://127.0.0.1:26379/mymaster/6", 6),
        ("redis+sentinel://127.0.0.1:26379/mymaster", 0),
        ("redis+cluster://127.0.0.1:7000", 0),
    ],
)
async def test_a_client_knows_its_database(url: str, database: int) -> None:
    client = connect(url)
    assert client.database == database
    await client.aclose()
