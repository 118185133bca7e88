"""All fuzz targets by name, and the inputs that are kept for each in tests/fuzz/corpus/."""

from pathlib import Path

from tests.fuzz.target import Target
from tests.fuzz.targets import (
    client_protocol,
    link,
    market_files,
    messages,
    our_files,
    settings,
    stored_values,
    token_parser,
)

CORPUS = Path(__file__).parent.parent / "corpus"
_ALL = (messages, client_protocol, link, settings, market_files, our_files, stored_values, token_parser)
TARGETS: dict[str, Target] = {each.TARGET.name: each.TARGET for each in _ALL}


def corpus_of(name: str) -> list[bytes]:
    """The inputs of a target that are kept in the repository."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]
