"""Settings of whoever is at an end of the link to the bridge: its secret. Bridge, broadcaster and recorder use it."""

from typing import Self

from pydantic import Field, model_validator

from common.settings import BearerSecret, ServiceSettings


class LinkSettings(ServiceSettings):
    """Without LINK_SECRET the bridge serves whoever reaches it."""

    link_secret: BearerSecret = Field(
        "",
        validation_alias="LINK_SECRET",
        description="secret that broadcasters and the recorder show to the bridge, of at least 32 bytes; "
        "without it the bridge asks nobody",
    )
    link_secret_before: BearerSecret = Field(
        "",
        validation_alias="LINK_SECRET_BEFORE",
        description="the former secret of the link, while it is exchanged: the bridge takes both, and who dials it "
        "shows this one after a refusal",
    )

    @model_validator(mode="after")
    def _exchanged(self) -> Self:
        if self.link_secret_before and not self.link_secret:
            raise ValueError("LINK_SECRET_BEFORE: goes with LINK_SECRET, which is not set")
        return self

    def link_secrets(self) -> tuple[str, ...]:
        """The secret of the link, and the former one; none where the bridge asks for none."""
        return tuple(secret for secret in (self.link_secret, self.link_secret_before) if secret)
