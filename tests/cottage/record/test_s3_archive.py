import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest
from moto.server import ThreadedMotoServer

from cottage.errors import SettingsError
from cottage.record.manifest import read_manifest
from cottage.record.record_writer import RecordWriter
from cottage.record.s3_archive import PART, ArchiveFailed, S3Archive
from cottage.record.verification import verify
from tests.cottage.record.rows_of_samples import BEGIN, samples

NAME = "samples/date=2025-11-26/13.parquet"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An S3-compatible storage on this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def bucket(endpoint: str, request: pytest.FixtureRequest) -> Any:
    name = f"bucket{abs(hash(request.node.name))}"
    return boto3.resource("s3", endpoint_url=endpoint).create_bucket(Bucket=name)


@pytest.fixture
def archive(endpoint: str, bucket: Any) -> S3Archive:
    return S3Archive(f"s3://{bucket.name}/desk/one/", endpoint)


def contents(bucket: Any) -> dict[str, bytes]:
    return {each.key: each.get()["Body"].read() for each in bucket.objects.all()}


def put(archive: S3Archive, path: Path) -> str:
    return archive.put(path, NAME, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize("size", [10, PART, 2 * PART + 1])
def test_a_file_is_copied_and_the_copy_checked(archive: S3Archive, bucket: Any, tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))
    url = put(archive, path)
    assert url == f"s3://{bucket.name}/desk/one/{NAME}"
    assert contents(bucket) == {f"desk/one/{NAME}": path.read_bytes()}
    with mock.patch.object(archive._client, "upload_file") as upload:
        assert put(archive, path) == url  # it is there: after a crash before the chain said so
    assert not upload.called


def test_a_copy_whose_sum_is_none_of_md5_is_read(archive: S3Archive, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"some")
    with mock.patch("cottage.record.s3_archive._etag", return_value="encrypted"):
        assert put(archive, path).endswith(NAME)


def test_what_others_have_under_that_name_stays(archive: S3Archive, bucket: Any, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    put(archive, path)
    path.write_bytes(b"two")
    other = f"desk/one/samples/date=2025-11-26/13-{hashlib.sha256(b'two').hexdigest()[:12]}.parquet"
    assert put(archive, path) == f"s3://{bucket.name}/{other}"
    assert contents(bucket) == {f"desk/one/{NAME}": b"one", other: b"two"}


def test_a_copy_that_came_broken_is_none(archive: S3Archive, bucket: Any, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"whole")

    def broken(_path: str, _bucket: str, key: str, **_options: object) -> None:
        bucket.put_object(Key=key, Body=b"w*ole")

    with (
        mock.patch.object(archive._client, "upload_file", broken),
        pytest.raises(ArchiveFailed, match="not what was"),
    ):
        put(archive, path)


def test_a_storage_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"some")
    archive = S3Archive("s3://bucket", "http://127.0.0.1:1")
    with pytest.raises(ArchiveFailed, match="file could not be copied to s3://bucket"):
        put(archive, path)


@pytest.mark.parametrize("url", ["bucket", "https://bucket", "s3://", "s3:///prefix"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(SettingsError, match="s3://bucket/prefix"):
        S3Archive(url)


def test_a_file_stays_until_its_copy_is_there(
    archive: S3Archive, bucket: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with RecordWriter(tmp_path, clock=lambda: BEGIN / 1e6 + 7200, archive=archive) as record:
        record.append("samples", samples(seqs=(1,)))
        assert record.roll()
        assert record.archive()  # pieces go nowhere
        assert contents(bucket) == {}
        assert record.expire(max_bytes=0) == 0
        assert record.compact()
        with mock.patch.object(archive, "put", side_effect=ArchiveFailed("no such bucket")):
            assert not record.archive()
        assert "record_not_archived path='samples/date=2025-11-26/13.parquet' error='no such bucket'" in caplog.text
        assert record.expire(keep_days=0, max_bytes=0) == 0
        assert record.archive()
        (file,) = record.manifest.files
        assert contents(bucket) == {f"desk/one/{NAME}": (tmp_path / NAME).read_bytes()}
        assert file.archived == f"s3://{bucket.name}/desk/one/{NAME}"
        assert read_manifest(tmp_path) == record.manifest
        assert verify(tmp_path) == []
        assert record.expire(max_bytes=0) == 1
    assert verify(tmp_path) == []
    assert len(contents(bucket)) == 1
