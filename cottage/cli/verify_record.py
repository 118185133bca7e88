"""`cottage verify`: prints what in a record is not as it was written."""

from pathlib import Path

from cottage.cli.compare_records import check_record
from cottage.record.manifest import read_manifest
from cottage.record.verification import verify


def verify_record(folder: str, head: str | None) -> bool:
    """Print each finding, or how much is as it was written and the head that says so. Returns whether all is.

    Raises UnusableSource where there is no record, NewerFormat, and MissingExtra."""
    check_record(folder)
    findings = verify(Path(folder), head)
    for finding in findings:
        print(finding)
    if not findings:
        manifest = read_manifest(Path(folder))
        rows = sum(file.rows for file in manifest.files)
        print(f"as it was written: files: {len(manifest.files)}, rows: {rows:,}, head: {manifest.head}")
    return not findings
