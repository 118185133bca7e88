"""Opens a folder for writing after whatever ended its last writer: chain, manifest and files are made to fit."""

import os
import shutil
from dataclasses import replace
from itertools import count
from pathlib import Path

from cottage.folder_sync import replace_file, sync_folder
from cottage.log import get_logger
from cottage.record.folder_layout import AHEAD, PIECES, READY, STAGING
from cottage.record.manifest import (
    CHAIN,
    MANIFEST,
    Manifest,
    RecordChain,
    RecordDamaged,
    chain_lines,
    following,
    read_manifest,
)
from cottage.record.write_ahead import AHEAD_NAME

LEFT_ASIDE = "chain-left-aside-{}.jsonl"
"""What stood in the chain behind this entry, and does not follow on it; `-2` is added a second time."""

log = get_logger(__name__)


def recovered(folder: Path, at: str) -> RecordChain:
    """The chain of a folder, with the manifest that follows from all of it; all files are in their places, and those
    of jobs that came to no end are gone. Lines at the end of the chain that do not follow on what the manifest knows
    are left aside. Raises RecordDamaged where the chain is broken and no manifest says how far it was whole,
    NewerFormat, or OSError. `at`: RFC 3339."""
    chain, is_saved = _chain(folder, at)
    alive = {file.path for file in chain.manifest.files}
    place_files(folder, chain.manifest)
    if not is_saved:
        chain.save()
    for path in chain.manifest.leaving:
        (folder / path).unlink(missing_ok=True)
    for piece in (folder / PIECES).rglob("*.parquet"):
        if str(piece.relative_to(folder)) not in alive:
            piece.unlink()
    for ahead in (folder / AHEAD).iterdir():
        name = AHEAD_NAME.fullmatch(ahead.name)
        if name and int(name[1]) <= chain.manifest.rolled:
            ahead.unlink()
    shutil.rmtree(folder / STAGING, ignore_errors=True)
    return chain


def place_files(folder: Path, manifest: Manifest) -> None:
    """Move files that became part of the record from where they were made to their places. Raises OSError."""
    for file in manifest.files:
        ready = folder / READY / file.path
        if ready.exists():
            place = folder / file.path
            place.parent.mkdir(parents=True, exist_ok=True)
            ready.replace(place)
            sync_folder(place.parent)
            sync_folder(place.parent.parent)


def _chain(folder: Path, at: str) -> tuple[RecordChain, bool]:
    """The chain, and whether the manifest that follows from it is the one that is there."""
    try:
        manifest = read_manifest(folder)
    except FileNotFoundError:
        manifest = Manifest()
    except RecordDamaged:
        if not (folder / CHAIN).exists():
            raise
        manifest = Manifest()
    whole = sum(len(line) + 1 for line in chain_lines(folder)) if manifest.number else 0
    if whole < manifest.chain_bytes:
        # Entries are gone that the manifest knows. The chain goes on from its head, with all that is alive: verify
        # says which are missing.
        log.warning("record_chain_cut", folder=str(folder), number=manifest.number)
        chain = RecordChain(folder, replace(manifest, chain_bytes=whole))
        chain.append("cut", at, anew=True, added=manifest.files, rolled=manifest.rolled)
        return chain, False
    known = manifest.number
    try:
        for newer in following(folder, manifest):
            manifest = newer
    except RecordDamaged as error:
        if not known:
            raise RecordDamaged(f"{error}, and no {MANIFEST} says what is alive") from error
        _leave_aside(folder, manifest, str(error))
    if known < manifest.number:
        log.info("record_manifest_mended", folder=str(folder), entries=manifest.number - known)
    return RecordChain(folder, manifest), known == manifest.number > 0


def _free_name(folder: Path, number: int) -> str:
    names = (LEFT_ASIDE.format(number if turn == 1 else f"{number}-{turn}") for turn in count(1))
    return next(name for name in names if not (folder / name).exists())


def _leave_aside(folder: Path, manifest: Manifest, error: str) -> None:
    """Take what stands in the chain behind the manifest's entry into a file of its own. Raises OSError."""
    with (folder / CHAIN).open("r+b") as chain:
        chain.seek(manifest.chain_bytes)
        foreign = chain.read()
        aside = _free_name(folder, manifest.number)
        replace_file(folder / aside, foreign)
        chain.truncate(manifest.chain_bytes)
        os.fsync(chain.fileno())
    log.warning("record_chain_left_aside", error=error, left_aside=aside, bytes=len(foreign))
