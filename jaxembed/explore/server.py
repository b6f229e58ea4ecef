"""The server: the page, and the pictures on it by their row; it answers only to this machine."""

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

from jaxembed import index
from jaxembed.errors import InputError
from jaxembed.explore.page import Page
from jaxembed.frozen import FrozenEncoder
from jaxembed.originals import Originals
from jaxembed.report import webp
from jaxembed.vectors import Vectors

ADDRESS = "127.0.0.1"
# Pixels of a picture's longer side on the page, and pictures kept in memory.
SIDE, KEPT = 224, 4096
# Bytes of a picture that is dropped on the page, which arrives as text.
LARGEST = 100 * 2**20


class Pictures(RequestHandler):
    """Answers `/image/<row>` with a small version of a picture; only rows can be asked for, no names."""

    def initialize(self, thumbnail: functools._lru_cache_wrapper, count: int) -> None:
        """Take what makes a picture of a row, and the number of rows."""
        self.thumbnail, self.count = thumbnail, count

    async def get(self, row: str) -> None:
        """Write the picture; 404 if there is none, 403 if a page of another host asks."""
        # A name that another page points at this machine must not read its pictures.
        if self.request.host_name not in (ADDRESS, "localhost"):
            raise HTTPError(403)
        if int(row) >= self.count:
            raise HTTPError(404)
        try:
            picture = await IOLoop.current().run_in_executor(None, self.thumbnail, int(row))
        except (OSError, ValueError, InputError) as error:  # moved or damaged since it was embedded
            raise HTTPError(404) from error
        self.set_header("Content-Type", "image/webp")
        self.set_header("Cache-Control", "private, max-age=3600")
        self.write(picture)


def listen(port: int) -> list[socket.socket]:
    """Take a port of this machine, 0 for any that is free; InputError if it is taken."""
    try:
        return netutil.bind_sockets(port, ADDRESS)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"--port {port} cannot be used: {reason}; 0 takes any that is free") from error


def make(
    encoder: FrozenEncoder, shown: Vectors, originals: Originals, sockets: Sequence[socket.socket]
) -> BaseServer:
    """Make the server, which answers on sockets once its loop runs."""
    embeddings = np.asarray(shown.embeddings)
    rows = index.make(embeddings, distance=encoder.distance)

    @functools.lru_cache(KEPT)
    def thumbnail(row: int) -> bytes:
        picture = originals.picture(shown.names[row])
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        return webp.encode(picture, quality=85)

    parameters = {"thumbnail": thumbnail, "count": len(shown.names)}
    application = BokehTornado(
        {"/": Application(FunctionHandler(Page(encoder, shown, rows).add_to))},
        extra_patterns=[(r"/image/(\d{1,9})", Pictures, parameters)],
        # Only pages of this server may talk to it.
        extra_websocket_origins=[f"{host}:{_port(sockets)}" for host in (ADDRESS, "localhost")],
        websocket_max_message_size_bytes=LARGEST,
    )
    server = HTTPServer(application)
    server.add_sockets(sockets)
    made = BaseServer(IOLoop.current(), application, server)
    made.start()
    return made


def serve(encoder: FrozenEncoder, shown: Vectors, originals: Originals, sockets: Sequence[socket.socket]) -> None:
    """Serve the page until Ctrl-C."""
    server = make(encoder, shown, originals, sockets)
    print(f"http://{ADDRESS}:{_port(sockets)}/ shows {len(shown.names):,} images; Ctrl-C ends it", flush=True)
    try:
        server.io_loop.start()
    except KeyboardInterrupt:
        server.stop()


def _port(sockets: Sequence[socket.socket]) -> int:
    return sockets[0].getsockname()[1]
