"""The licences of all packages that run, from their own metadata. One that is not on the list is a decision to make.

`pytest -s tests/packaging/test_licences.py` prints the list.
"""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata

import pytest

from tests.support import ROOT

ALLOWED = {
    "MIT": "asks for its text to be kept beside copies: wheels bring it",
    "MIT-0": "asks for nothing",
    "BSD-2-Clause": "as MIT",
    "BSD-3-Clause": "as MIT, and its authors' names are not to be used for advertising, which nobody does",
    "0BSD": "asks for nothing (parts of numpy)",
    "Apache-2.0": "as MIT, with a grant of patents; changes are to be marked, and nothing is changed here",
    "PSF-2.0": "Python's own, as BSD (typing-extensions)",
    "Zlib": "as MIT (parts of numpy)",
    "CC0-1.0": "the public domain (parts of numpy)",
    "MPL-2.0": "changed files of the package itself are to be published: orjson is used as it is",
}
"""By SPDX identifier, each with why it is no trouble for whoever runs or hands on the suite."""
_SPELLED = {
    "mit license": "MIT",
    "osi approved :: mit license": "MIT",
    "osi approved :: bsd license": "BSD-3-Clause",
    "osi approved :: apache software license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
}


def locked() -> Iterator[str]:
    """The packages of the lock that are for this Python and system."""
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if found := re.match(r"([A-Za-z0-9_.-]+)==", line):
            yield found[1]


def licences(package: str) -> set[str]:
    """The SPDX identifiers in a package's metadata; of several spellings of the same the most precise."""
    told = metadata(package)
    stated = next(iter(told.get_all("License-Expression") or ()), None)
    if stated is None:
        free = next(iter(told.get_all("License") or ()), "").strip()
        short = free if 0 < len(free) < 40 and "dual" not in free.lower() else None
        classifiers = told.get_all("Classifier") or ()
        classified = [each.removeprefix("License :: ") for each in classifiers if each.startswith("License ::")]
        words = [short] if short is not None else classified
    else:
        words = re.split(r"\s+(?:AND|OR|WITH)\s+|[()]", stated)
    return {_SPELLED.get(word.strip().lower(), word.strip()) for word in words if word and word.strip()}


def installed() -> dict[str, set[str]]:
    found = {}
    for package in sorted(set(locked())):
        try:
            found[package] = licences(package)
        except PackageNotFoundError:
            assert marked(package), f"{package} is locked and not installed"
    return found


def marked(package: str) -> bool:
    """Whether the lock has the package for some Pythons or systems alone."""
    lock = (ROOT / "requirements.lock").read_text()
    return re.search(rf"^{re.escape(package)}==[^ ]+ ;", lock, re.MULTILINE) is not None


def test_every_package_that_runs_has_a_licence_that_was_looked_at() -> None:
    found = installed()
    assert len(found) > 40
    for package, told in found.items():
        print(f"{package:24} {' '.join(sorted(told))}")
    assert {package: told for package, told in found.items() if not told or not told <= ALLOWED.keys()} == {}


def test_no_licence_is_allowed_that_nobody_has() -> None:
    assert set().union(*installed().values()) == ALLOWED.keys()


@pytest.mark.parametrize("spdx", ["GPL-3.0-only", "AGPL-3.0-or-later", "SSPL-1.0", "BUSL-1.1"])
def test_the_list_has_none_that_binds_whoever_serves_with_it(spdx: str) -> None:
    assert spdx not in ALLOWED
