#!/bin/sh
# Makes the virtual environment. The Makefile calls it before everything else: where the lock and the Python are the
# ones that it was made from, that costs some 30 ms.
#
#   install.sh run|dev [said]   from requirements.lock, or from requirements-dev.lock, which holds all of that too;
#                               `said`: says so where there is nothing to do
#   VENV    where it goes (default .venv; .venv-3.13 beside it is a second one)
#   PYTHON  which Python makes it (default: python3 where it fits, else python3.13, 3.12, 3.11)
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}
stamp=$venv/.installed
case ${1:-} in
run) lock=requirements.lock ;;
dev) lock=requirements-dev.lock ;;
*) echo "usage: install.sh run|dev [said]" >&2; exit 2 ;;
esac

refuse() {
  echo "make install: $1" >&2
  exit 2
}

# The version, such as 3.13, of a Python that the suite runs on; fails for any other. It is asked rather than
# looked for: a version manager puts python3.13 on the PATH where no 3.13 is installed.
fit() {
  "$1" -c 'import sys
v = sys.version_info[:2]
sys.exit(1) if not (3, 11) <= v <= (3, 13) else print("%d.%d" % v)' 2>/dev/null
}

state() { echo "python $1 lock $(cksum <"$2")"; }

# Whether it was made by this version of Python from the lock, or from that for developing, which holds all of it.
up_to_date() {
  made=$(cat "$stamp" 2>/dev/null) || return 1
  [ "$made" = "$(state "$1" "$lock")" ] || [ "$made" = "$(state "$1" requirements-dev.lock)" ]
}

if version=$(fit "$venv/bin/python") && up_to_date "$version"; then
  if [ -z "${PYTHON:-}" ] || [ "$(fit "$PYTHON")" = "$version" ]; then
    [ $# = 1 ] || echo "make install: $venv is up to date (Python $version)"
    exit 0
  fi
fi

if [ -n "${PYTHON:-}" ]; then
  python=$PYTHON
  version=$(fit "$python") || refuse "PYTHON=$PYTHON is no Python 3.11, 3.12 or 3.13 that runs"
else
  python=
  for candidate in python3 python3.13 python3.12 python3.11; do
    if version=$(fit "$candidate"); then
      python=$candidate
      break
    fi
  done
  [ -n "$python" ] || refuse "needs Python 3.11, 3.12 or 3.13 and found none on the PATH; install one, or name it with PYTHON=/path/to/python3"
fi
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
  refuse "$python cannot make virtual environments; on Debian and Ubuntu: apt-get install python$version-venv"

if [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ] && [ -n "$(ls -A "$venv")" ]; then
  refuse "VENV=$venv is there and is no virtual environment; name another folder"
fi
echo "make install: making $venv with Python $version ($python) from $lock"
rm -f "$stamp"
if [ "$(fit "$venv/bin/python")" != "$version" ]; then
  "$python" -m venv --clear "$venv"
fi

# pip's output, as progress: a line for each package. Its own words only where it fails.
progress() {
  awk -v most="$(grep -c '^[a-zA-Z0-9]' "$lock")" '
    /^(Collecting|Processing) / { sub(/.*\//, "", $2); printf "  %d of at most %d: %s\n", ++count, most, $2; fflush() }
    /^Installing collected packages/ { print "  installing them"; fflush() }
    /^exit status [0-9]+$/ { status = $3; next }
    { said[NR] = $0 }
    END { if (status) for (line = 1; line <= NR; line++) print said[line]; exit status }'
}

{
  # The lock names every package, so nothing is left to be resolved: pip, which would ask for the newest version of what
  # some package requires with an extra, refuses one that is newer than the lock's.
  "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --require-hashes --no-deps -r "$lock" 2>&1 ||
    status=$?
  echo "exit status ${status:-0}"
} | progress
state "$version" "$lock" >"$stamp" # last: an installation that was cut off is taken up again
echo "make install: $venv is ready ($(du -sm "$venv" | cut -f1) MB)"
