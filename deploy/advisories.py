"""`make audit`: whether a security advisory is known of any package that runs, by pip-audit.

pip-audit is no part of the lock, since what looks for faults is itself replaced as often as it can be: it has an
environment of its own, `.venv-audit`. It needs a source of advisories. Where that is not reached, or does not know a
package, pip-audit says that nothing was found all the same; here such a package is `not checked`, by its name.

Exit status 0: all packages were checked, and nothing is known. 1: something is known. 3: not all could be checked.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LOCK = Path("requirements.lock")
ENVIRONMENT = Path(".venv-audit")
KNOWN, NOT_CHECKED = 1, 3
SECONDS = 600.0
_SHOWN = 5


def main(lock: Path = LOCK, program: Path | None = None) -> int:
    """`program`: a pip-audit that is there already."""
    try:
        report = _report(lock, program or _installed())
    except _NotChecked as why:
        return _not_checked(str(why))
    return _judged(report)


class _NotChecked(Exception):
    """Nothing could be checked; the text says why."""


def _installed() -> Path:
    """The pip-audit of an environment of its own, made where there is none."""
    program = ENVIRONMENT / "bin" / "pip-audit"
    if not program.exists():
        uv = [sys.executable, "-m", "uv"]
        _run([*uv, "venv", "-q", "--clear", "--python", sys.executable, str(ENVIRONMENT)], "no environment")
        python = str(ENVIRONMENT / "bin" / "python")
        _run([*uv, "pip", "install", "-q", "--python", python, "pip-audit"], "pip-audit cannot be installed")
    return program


def _report(lock: Path, program: Path) -> list[dict[str, Any]]:
    """What pip-audit says of each package."""
    options = ["--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json"]
    done = _run([str(program), "-r", str(lock), *options], "pip-audit does not run", allowed=(0, 1))
    try:
        packages = json.loads(done.stdout)["dependencies"]
        return [{"name": str(each["name"]), **each} for each in packages]
    except (ValueError, KeyError, TypeError) as error:
        raise _NotChecked(f"no source of advisories answers ({_last_line(done.stderr)})") from error


def _judged(packages: Sequence[dict[str, Any]]) -> int:
    known = [(each["name"], each.get("version"), each["vulns"]) for each in packages if each.get("vulns")]
    for name, version, advisories in known:
        for advisory in advisories:
            fixed = ", ".join(advisory.get("fix_versions") or ()) or "no version yet"
            print(f"known: {name} {version}: {advisory['id']}, mended in {fixed}")
    skipped = [each["name"] for each in packages if "skip_reason" in each or "vulns" not in each]
    checked = len(packages) - len(skipped)
    print(f"checked: {checked} of {len(packages)} packages, advisories of {len(known)} are known")
    if known:
        return KNOWN
    if not packages:
        return _not_checked("no package was named")
    if skipped:
        more = f" and {len(skipped) - _SHOWN} others" if len(skipped) > _SHOWN else ""
        return _not_checked(f"the source of advisories does not know {', '.join(skipped[:_SHOWN])}{more}")
    return 0


def _run(command: list[str], what: str, allowed: Sequence[int] = (0,)) -> "subprocess.CompletedProcess[str]":
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _NotChecked(f"{what} ({error})") from error
    if done.returncode not in allowed:
        raise _NotChecked(f"{what} ({_last_line(done.stderr)})")
    return done


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1][:200]


def _not_checked(why: str) -> int:
    print(f"not checked: {why}")
    return NOT_CHECKED


if __name__ == "__main__":
    sys.exit(main())
