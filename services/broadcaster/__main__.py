"""`python -m services.broadcaster` runs the broadcaster; with --probe it checks one that is running."""

from cottage.stop_signals import end_on_signals

SWITCHES = {
    "probe": "do not run; connect as a client to the broadcaster at this host and port; exit 0 if it answers, else 1",
    "full": "with --probe: exit 0 only if heartbeats of feynman arrive through the whole chain",
}


def main() -> None:
    end_on_signals()  # while all else is imported, which takes some tenths of a second
    import sys

    from common import runner
    from cottage.clock import SystemClock
    from cottage.probe import ops_url, url_of
    from services.broadcaster.service import StateBroadcaster
    from services.broadcaster.settings import BroadcasterSettings

    settings, switches = BroadcasterSettings.load_with_switches(
        "broadcaster", "Sends what comes from the bridge to any number of WebSocket clients.", SWITCHES
    )
    if "probe" in switches:
        url = url_of(settings.host, settings.port, tls=bool(settings.tls_cert_file))
        ops = ops_url(settings.ops_host, settings.ops_port)
        sys.exit(_probe(url, ops, settings.tls_cert_file, full="full" in switches))
    if switches:
        sys.stderr.write("broadcaster: --full goes with --probe\n")
        sys.exit(2)
    runner.run("broadcaster", StateBroadcaster(settings, SystemClock()), settings)


def _probe(url: str, ops: str, certificate: str, *, full: bool) -> int:
    end_on_signals(1)  # interrupted, it has not found out that all is well
    import asyncio
    import sys

    from common.tls import only_this
    from cottage.probe import Unhealthy, probe

    try:
        # The certificate is for the names that clients know, and not for this machine's own address.
        context = only_this(certificate) if certificate else None
        found = asyncio.run(probe(url, full=full, context=context, ops=ops))
    except (OSError, Unhealthy) as error:
        sys.stderr.write(f"broadcaster: {error}\n")
        return 1
    sys.stdout.write(f"{found}\n")
    return 0


if __name__ == "__main__":
    main()
