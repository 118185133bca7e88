"""The settings of TLS: of the services that serve it, and of those that dial the bridge over it."""

import ssl
from typing import Self

from pydantic import Field, model_validator

from common.settings import ServiceSettings
from common.tls import ServerCertificate
from cottage.certificates import client_context
from cottage.errors import SettingsError


class TlsSettings(ServiceSettings):
    """The settings of every service whose port may speak TLS."""

    tls_cert_file: str = Field(
        "",
        description="file of the certificate and its chain (PEM) by which the port speaks TLS alone; read again when "
        "it changes. none: it speaks no TLS",
    )
    tls_key_file: str = Field("", description="file of that certificate's key (PEM, without a password)")

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        for given, missing in (("tls_cert_file", "tls_key_file"), ("tls_key_file", "tls_cert_file")):
            if getattr(self, given) and not getattr(self, missing):
                raise ValueError(f"{self.variable(given)}: goes with {self.variable(missing)}, which is not set")
        return self

    def certificate(self) -> ServerCertificate | None:
        """The pair by which the port speaks TLS; None if it speaks none. Raises SettingsError where it cannot be
        used."""
        if not self.tls_cert_file:
            return None
        try:
            return ServerCertificate(self.tls_cert_file, self.tls_key_file)
        except SettingsError as error:
            raise SettingsError(f"{self.variable('tls_cert_file')}: {error}") from error

    def check(self) -> None:
        super().check()
        self.certificate()


class LinkTlsSettings(ServiceSettings):
    """The settings of every service that dials the bridge."""

    link_ca_file: str = Field(
        "",
        validation_alias="LINK_CA_FILE",
        description="file of the CA (PEM) by which the bridge's certificate is verified where its URL is wss://; "
        "empty: the system's",
    )

    def check(self) -> None:
        super().check()
        self.check_link()

    def check_link(self) -> None:
        """Raises SettingsError where the file is no list of certificates."""
        if self.link_ca_file:
            try:
                client_context(self.link_ca_file)
            except OSError as error:
                why = "no certificates are in it" if isinstance(error, ssl.SSLError) else error.strerror
                raise SettingsError(f"{self.variable('link_ca_file')}: {self.link_ca_file}: {why}") from error
