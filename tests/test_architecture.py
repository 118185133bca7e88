"""docs/architecture.md names what there is."""

import pkgutil
import re

from tests.support import ROOT


def test_the_stations_of_an_update_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    picture = text.partition("## An update's way")[2].split("```")[1]
    stations = re.findall(r"\b(?:cottage|common|services)(?:\.\w+){2,}", picture)
    assert len(stations) > 15
    for station in stations:
        pkgutil.resolve_name(station)
