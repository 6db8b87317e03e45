"""uvicorn for connections that another process accepts and hands over."""

import asyncio
import socket

import uvicorn


class HandedServer(uvicorn.Server):
    """Serves the connections that come on a channel, until told to stop or the other end is gone.

    Args:
        config: as uvicorn's own.
        channel: a socket on which each message is a byte and the file of one connection.
    """

    def __init__(self, config: uvicorn.Config, channel: socket.socket) -> None:
        super().__init__(config)
        self.channel = channel
        self._taking: set[asyncio.Task[object]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002  (theirs)
        """Begin to take connections."""
        await super().startup(sockets=[])
        self.channel.settimeout(0)
        asyncio.get_running_loop().add_reader(self.channel, self._take)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002  (theirs)
        """Take no more, and let those that are there end."""
        asyncio.get_running_loop().remove_reader(self.channel)
        self.channel.close()
        await super().shutdown(sockets=[])

    def _take(self) -> None:
        try:
            said, files, _, _ = socket.recv_fds(self.channel, 1, 1)
        except BlockingIOError:
            return
        if not said:  # who accepts them is gone
            asyncio.get_running_loop().remove_reader(self.channel)
            self.should_exit = True
        for file in files:
            taking = asyncio.ensure_future(self._serve_one(socket.socket(fileno=file)))
            self._taking.add(taking)
            taking.add_done_callback(self._taking.discard)

    async def _serve_one(self, connection: socket.socket) -> None:
        connection.settimeout(0)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        except OSError:  # the client has hung up meanwhile
            connection.close()

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
