"""States as FeynmanService writes them."""

from typing import Any

from cottage.clock import iso_millis
from cottage.state import PhysicsState
from cottage.version import Version

PUBLISHED = PhysicsState(
    mass=0.42,
    momentum=1.23,
    friction=0.15,
    entropy=0.08,
    nash_dist=0.05,
    regime="Gaussian",
    alpha_coefficient=2.8,
)
"""As the specification prints it."""


def state(sampled: float, **changes: Any) -> PhysicsState:
    """One whose newest sample was taken at `sampled`, in seconds since 1970."""
    fields: dict[str, Any] = {name: getattr(PUBLISHED, name) for name in PhysicsState.__slots__}
    version = Version(round(sampled * 1000), 1)
    known = {"price": 450.32, "samples": 1000, "nonzero": 812, "source": "live", "step": 1.0, "holes": 3}
    return PhysicsState(**{**fields, **known, "version": version, "timestamp": iso_millis(sampled), **changes})
