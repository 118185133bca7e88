"""Copies of a record's closed files in an S3-compatible storage.

    archive = S3Archive("s3://bucket/prefix", "https://minio.example:9000")
    RecordWriter(folder, archive=archive)

Keys are those that the AWS SDK finds: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role.
"""

from hashlib import md5, sha256
from pathlib import Path
from typing import Any

from cottage.errors import CottageError, MissingExtra, SettingsError

PART = 8 * 1024**2
"""Bytes: a larger file is sent in parts of so many."""


class ArchiveFailed(CottageError):
    """A file could not be copied, or its copy is another. A later try may help."""


class S3Archive:
    """A bucket, and a prefix of the names in it. Blocking; for one thread at a time."""

    def __init__(self, url: str, endpoint: str | None = None) -> None:
        """`url`: s3://bucket/prefix. `endpoint`: the URL of the storage, without one that of Amazon. Raises
        SettingsError, MissingExtra."""
        try:
            import boto3
            import botocore.config
            import botocore.exceptions
        except ImportError as error:
            raise MissingExtra("an archive needs pip install 'curiosity-cottage[archive]'") from error
        scheme, _, place = url.partition("://")
        self._bucket, _, prefix = place.partition("/")
        self._prefix = prefix.strip("/")
        if scheme != "s3" or not self._bucket:
            raise SettingsError(f"{url} is not s3://bucket/prefix")
        config = botocore.config.Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 4},  # with backoff
            request_checksum_calculation="when_required",  # many storages know no others
            response_checksum_validation="when_required",
        )
        self._errors = (botocore.exceptions.BotoCoreError, boto3.exceptions.Boto3Error, OSError)
        self._refusal = botocore.exceptions.ClientError
        try:
            self._client: Any = boto3.client("s3", endpoint_url=endpoint or None, config=config)
        except (ValueError, *self._errors) as error:
            raise SettingsError(f"the archive {url}: {error}") from error
        self._transfer = boto3.s3.transfer.TransferConfig(
            multipart_threshold=PART, multipart_chunksize=PART, use_threads=False
        )

    def put(self, path: Path, name: str, checksum: str) -> str:
        """Copy a file, under this name, unless that is there already; return the URL of the copy when it is there
        with the same bytes. What another recorder has under that name stays. `checksum`: SHA-256 of the file, in hex.
        Raises ArchiveFailed."""
        stem, dot, suffix = name.rpartition(".")
        other = f"{stem}-{checksum[:12]}{dot}{suffix}"
        try:
            for each in (name, other):
                key = f"{self._prefix}/{each}".lstrip("/")
                if self._head(key) is None:
                    self._client.upload_file(str(path), self._bucket, key, Config=self._transfer)
                    if not self._is_copy(path, key, checksum):
                        raise ArchiveFailed(f"s3://{self._bucket}/{key} is not what was sent")
                    return f"s3://{self._bucket}/{key}"
                if self._is_copy(path, key, checksum):
                    return f"s3://{self._bucket}/{key}"
        except (self._refusal, *self._errors) as error:
            raise ArchiveFailed(f"{path.name} could not be copied to s3://{self._bucket}: {error}") from error
        raise ArchiveFailed(f"other files are in s3://{self._bucket} under {name} and {other}")

    def _head(self, key: str) -> dict[str, Any] | None:
        """What the storage says of an object; None if there is none."""
        try:
            return dict(self._client.head_object(Bucket=self._bucket, Key=key))
        except self._refusal as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise

    def _is_copy(self, path: Path, key: str, checksum: str) -> bool:
        """Whether an object has the bytes of the file: by the storage's own sum, or, where that is none of MD5, as
        with some encryptions, by reading the object."""
        head = self._head(key)
        if head is None or head["ContentLength"] != path.stat().st_size:
            return False
        if head["ETag"].strip('"') == _etag(path):
            return True
        found = sha256()
        for part in self._client.get_object(Bucket=self._bucket, Key=key)["Body"].iter_chunks(PART):
            found.update(part)
        return found.hexdigest() == checksum


def _etag(path: Path) -> str:
    """The ETag that S3 gives to a file of these bytes which was sent as here."""
    sums = []
    with path.open("rb") as file:
        while part := file.read(PART):
            sums.append(md5(part, usedforsecurity=False))
    if len(sums) == 1 and path.stat().st_size < PART:
        return sums[0].hexdigest()
    return f"{md5(b''.join(each.digest() for each in sums), usedforsecurity=False).hexdigest()}-{len(sums)}"
