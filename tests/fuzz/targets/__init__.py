"""All fuzz targets by name, and the inputs that are kept for each in tests/fuzz/corpus/."""

from pathlib import Path

from tests.fuzz.target import Target
from tests.fuzz.targets import market_files, messages, stored_values

CORPUS = Path(__file__).parent.parent / "corpus"
TARGETS: dict[str, Target] = {
    each.name: each for each in (messages.TARGET, stored_values.TARGET, market_files.TARGET)
}


def corpus_of(name: str) -> list[bytes]:
    """The inputs of a target that are kept in the repository."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]
