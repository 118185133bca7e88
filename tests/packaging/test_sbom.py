"""`make sbom`: the list of all packages that run, from the lock alone."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT


def test_it_lists_what_is_locked_with_versions_and_hashes_without_a_network(tmp_path: Path) -> None:
    recipe = re.search(r"^sbom:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    command = recipe[1].replace("\\\n", "").replace("$(bin)", str(Path(sys.executable).parent))
    command = command.replace("@", "").replace("build/sbom.json", str(tmp_path / "sbom.json")).replace("$(ARGS)", "")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    shell = ["sh", "-ec", "\n".join(line.strip() for line in command.splitlines())]
    done = subprocess.run(shell, cwd=ROOT, env=os.environ | nowhere, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "sbom.json").read_text())
    assert (told["bomFormat"], told["metadata"]["component"]["name"]) == ("CycloneDX", "curiosity-cottage")
    lock = (ROOT / "requirements.lock").read_text()
    locked = set(re.findall(r"^([A-Za-z0-9_.-]+)==([^ \\]+)", lock, re.MULTILINE))
    assert {(each["name"], each["version"]) for each in told["components"]} == locked
    hashes = {each["content"] for component in told["components"] for reference in component["externalReferences"]
              for each in reference["hashes"]}  # fmt: skip
    assert hashes == set(re.findall(r"--hash=sha256:([0-9a-f]{64})", lock))
