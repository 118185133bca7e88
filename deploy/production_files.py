"""`make production-files`: what deploy/compose.production.yml needs, in a folder that nothing else reads.

    redis.acl                    users of Redis, begins with `user default off`
    redis/NAME                   the password of the user NAME
    link-secret  ops-token       what whoever dials the bridge, or reads an ops port, shows
    ca.pem  ca-key.pem           a CA of this suite's own; its key stays here
    bridge.pem  bridge-key.pem   the certificate of the link
    page.pem  page-key.pem       that of page and API, until you put one of a public CA in its place
    keys.json  signing-key.json  by which tokens are checked, and with which you mint them; the latter stays here
    denied-tokens                the `jti` of each token that is denied before its end, a line each: append to it

What is there is kept, so that it may be run again: also where the CA's key, or that which mints, was put elsewhere,
or keys.json is your issuer's. What does not fit is named. Secrets have mode 0600. A file belongs to the user of the
container that reads it: whoever is not root is told the command that does that, and gets exit status 1.
"""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey

from common.auth.key_ring import KeyRing
from cottage.errors import CottageError, SettingsError
from deploy.acl import ServerVersion, acl_file
from deploy.own_certificates import PUBLIC, SECRET, authority, certificate
from deploy.redis_users import USERS
from deploy.run_plan import SERVICES
from deploy.secret_folder import SecretFolder, content_of, write_anew

SERVICE_UID = 10001
"""Of the services in their containers: the image's USER."""
REDIS_UID = 999
"""Of Redis in its official image."""
REDIS = ServerVersion("redis", 7, 0)
"""The oldest that docker-compose.yml's redis:7-alpine has been. Newer ones take its file too."""
DENIED = "denied-tokens"
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def make(folder: Path, names: Sequence[str]) -> dict[Path, int]:
    """Make what is missing. `names`: by which page and API are addressed. Returns the user to whom each file belongs
    that a container reads. Raises SettingsError."""
    secrets = SecretFolder(folder)
    passwords = SecretFolder(folder / "redis")
    write_anew(
        folder / "redis.acl", PUBLIC, acl_file(REDIS, {user: passwords.secrets(user) for user in USERS}).encode()
    )
    for name in ("link-secret", "ops-token"):
        secrets.secret(name)
    ca = authority(folder)
    certificate(folder, "bridge", ("bridge",), ca)
    certificate(folder, "page", (*LOCAL_NAMES, "broadcaster", "physics", *names), ca)
    _keys(folder)
    if not (folder / DENIED).exists():
        write_anew(folder / DENIED, PUBLIC, b"")
    of_services = [folder / name for name in ("link-secret", "ops-token", "ca.pem", "keys.json", DENIED)]
    of_services += [folder / f"{name}{end}.pem" for name in ("bridge", "page") for end in ("", "-key")]
    of_services += [folder / "redis" / service.name for service in SERVICES if service.redis]
    return dict.fromkeys(of_services, SERVICE_UID) | dict.fromkeys(
        (folder / "redis" / "health", folder / "redis.acl"), REDIS_UID
    )


def hand_over(owners: dict[Path, int]) -> list[str]:
    """Give each file to its user. Returns the commands that root must run where this process may not."""
    refused: dict[int, list[str]] = {}
    for path, uid in owners.items():
        if path.stat().st_uid == uid:
            continue
        try:
            os.chown(path, uid, uid)
        except OSError:  # also one that a namespace of users does not know
            refused.setdefault(uid, []).append(shlex.quote(str(path)))
    return [f"sudo chown {uid}:{uid} {' '.join(paths)}" for uid, paths in refused.items()]


def _keys(folder: Path) -> None:
    """The key pair of tokens: EdDSA, whose public half mints nothing. Raises SettingsError."""
    public, private = folder / "keys.json", folder / "signing-key.json"
    as_json: Callable[[object], bytes] = lambda value: json.dumps(value, indent=1).encode() + b"\n"  # noqa: E731
    if not public.exists():
        if not private.exists():
            made = OKPKey.generate_key(
                "Ed25519", parameters={"alg": "EdDSA", "use": "sig"}, private=True, auto_kid=True
            )
            write_anew(private, SECRET, as_json(made.as_dict(private=True)))
        try:
            key = OKPKey.import_key(json.loads(content_of(private)))
        except (ValueError, JoseError):
            raise SettingsError(f"{private} is no key that make production-files has made") from None
        write_anew(public, PUBLIC, as_json(KeySet([key]).as_dict(private=False)))
    try:
        KeyRing.parse(content_of(public))
    except ValueError as error:
        raise SettingsError(f"{public} {error}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make production-files", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("folder", help="where they go, such as /etc/cottage")
    parser.add_argument("--names", default="", help="names and addresses of page and API, comma-separated")
    given = parser.parse_args(arguments)
    folder = Path(given.folder).absolute()
    try:
        owners = make(folder, [name.strip() for name in given.names.split(",") if name.strip()])
        left = hand_over(owners)
    except (CottageError, ValueError) as error:
        sys.stderr.write(f"make production-files: {error}\n")
        return 2
    print(f"{folder}: set PRODUCTION_FILES={shlex.quote(str(folder))} for deploy/compose.production.yml")
    if left:
        print("the containers cannot read all of them yet; as root run:", *left, sep="\n  ")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
