"""The server: the page, and thumbnails by row; it serves this machine only."""

import functools
import socket
from collections.abc import Sequence

import numpy as np
from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from PIL import Image
from tornado import netutil
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler

from jaxembed import pictures
from jaxembed.core.errors import InputError
from jaxembed.embed import index
from jaxembed.embed.frozen import FrozenEncoder
from jaxembed.embed.sources import Album
from jaxembed.embed.vectors import Vectors
from jaxembed.explore.page import Page

ADDRESS = "127.0.0.1"
# Longer side of a thumbnail in pixels, and thumbnails cached in memory.
SIDE, KEPT = 224, 4096
# Maximum upload in bytes, base64-encoded.
LARGEST = 100 * 2**20


class Pictures(RequestHandler):
    """Serves the thumbnail of a picture at `/image/<row>`; files cannot be requested by name."""

    def initialize(self, thumbnail: functools._lru_cache_wrapper, count: int) -> None:
        """Store the function from a row to its thumbnail, and the number of rows."""
        self.thumbnail, self.count = thumbnail, count

    async def get(self, row: str) -> None:
        """Send the thumbnail; 404 if there is none, 403 for another Host header."""
        # Reject other Host headers: prevents DNS rebinding.
        if self.request.host_name not in (ADDRESS, "localhost"):
            raise HTTPError(403)
        if int(row) >= self.count:
            raise HTTPError(404)
        try:
            picture = await IOLoop.current().run_in_executor(None, self.thumbnail, int(row))
        except (OSError, ValueError, InputError) as error:  # moved or damaged since the images were embedded
            raise HTTPError(404) from error
        self.set_header("Content-Type", "image/webp")
        self.set_header("Cache-Control", "private, max-age=3600")
        self.write(picture)


def listen(port: int) -> list[socket.socket]:
    """Listen on a local port, 0 for any free port; InputError if it is in use."""
    try:
        return netutil.bind_sockets(port, ADDRESS)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"cannot listen on --port {port}: {reason}; use --port=0 for a free port") from error


def make(
    encoder: FrozenEncoder, embedded: Vectors, originals: Album | None, sockets: Sequence[socket.socket]
) -> BaseServer:
    """Make the server; it answers on the sockets once its loop runs."""
    search_index = index.make(np.asarray(embedded.embeddings), distance=encoder.distance)

    @functools.lru_cache(KEPT)
    def thumbnail(row: int) -> bytes:
        if originals is None:
            raise FileNotFoundError(embedded.names[row])
        picture = originals.picture(embedded.names[row])
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        return pictures.as_webp(picture, quality=85)

    parameters = {"thumbnail": thumbnail, "count": len(embedded.names)}
    application = BokehTornado(
        {"/": Application(FunctionHandler(Page(encoder, embedded, search_index).add_to))},
        extra_patterns=[(r"/image/(\d{1,9})", Pictures, parameters)],
        # Only pages from this server may open a websocket.
        extra_websocket_origins=[f"{host}:{_port(sockets)}" for host in (ADDRESS, "localhost")],
        websocket_max_message_size_bytes=LARGEST,
    )
    http_server = HTTPServer(application)
    http_server.add_sockets(sockets)
    server = BaseServer(IOLoop.current(), application, http_server)
    server.start()
    return server


def serve(
    encoder: FrozenEncoder, embedded: Vectors, originals: Album | None, sockets: Sequence[socket.socket]
) -> None:
    """Serve the page until Ctrl-C."""
    server = make(encoder, embedded, originals, sockets)
    address = f"http://{ADDRESS}:{_port(sockets)}/"
    print(f"Serving {len(embedded.names):,} images at {address}; press Ctrl-C to stop", flush=True)
    try:
        server.io_loop.start()
    except KeyboardInterrupt:
        server.stop()


def _port(sockets: Sequence[socket.socket]) -> int:
    return sockets[0].getsockname()[1]
