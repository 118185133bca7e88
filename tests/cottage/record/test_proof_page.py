import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from cottage.record.proof import proof_of
from cottage.record.proof_page import POLICY, page
from cottage.record.proof_report import report
from cottage.record.record import Record
from tests.cottage.record.test_proof import EVERY, altered, record_of, rewrite


def test_a_page_has_all_of_a_proof_and_needs_nothing(tmp_path: Path) -> None:
    told = page(report(proof_of(Record(record_of(tmp_path, EVERY)), "SPY")))
    assert told.startswith("<!doctype html>")
    for word in ("Proved: ", "nash dist", "90 % interval", "<polyline", "SHA-256", "size: A4"):
        assert word in told
    assert not re.search(r"<script|<link|<img|src=|href=|\sstyle=|\son\w+=|url\(|@import", told)
    (style,) = re.findall(r"<style>(.*?)</style>", told, re.DOTALL)
    assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in POLICY


def test_a_page_says_what_differs(tmp_path: Path) -> None:
    folder = record_of(tmp_path, EVERY)
    rewrite(folder, altered)
    told = page(report(proof_of(Record(folder), "SPY")))
    assert 'class="verdict no"' in told
    assert '<tr class="differs">' in told


def test_what_strangers_write_is_escaped(tmp_path: Path) -> None:
    evil = "<b onload=x>&\"'"
    folder = record_of(tmp_path, [row | {"source": evil, "feed": evil, "notes": [evil]} for row in EVERY])
    told = page(report(proof_of(Record(folder), "SPY")))
    assert "<b " not in told
    assert "&lt;b onload=x&gt;&amp;&quot;&#x27;" in told
