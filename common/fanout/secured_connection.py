"""A client's connection over TLS, until its TLS handshake is done; the server of bridge and broadcaster makes it."""

from websockets.server import ServerProtocol

from common.fanout.frames import ClientConnection
from common.tls import ServerCertificate
from common.web.open_connections import OpenConnections
from common.web.tls_entrance import TlsEntrance


class SecuredConnection(TlsEntrance):
    """Stands for the ClientConnection that it will be: `websockets` looks at its `protocol` before that."""

    def __init__(
        self, certificate: ServerCertificate, connections: OpenConnections, client: ClientConnection
    ) -> None:
        super().__init__(certificate, connections, client)
        self.client = client

    @property
    def protocol(self) -> ServerProtocol:
        return self.client.protocol
