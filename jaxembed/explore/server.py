"""The server: the page, and the pictures on it by their row; it answers only to this machine."""

import errno
import functools

import numpy as np
from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.server import Server
from PIL import Image
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


def make(encoder: FrozenEncoder, shown: Vectors, originals: Originals, *, port: int) -> Server:
    """Make the server and start to listen; InputError if the port is taken."""
    embeddings = np.asarray(shown.embeddings)
    rows = index.make(embeddings, distance=encoder.distance)

    @functools.lru_cache(KEPT)
    def thumbnail(row: int) -> bytes:
        picture = originals.picture(shown.names[row])
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        return webp.encode(picture, quality=85)

    page = Application(FunctionHandler(Page(encoder, shown, rows).add_to))
    parameters = {"thumbnail": thumbnail, "count": len(shown.names)}
    try:
        server = Server(
            {"/": page},
            port=port,
            address=ADDRESS,
            extra_patterns=[(r"/image/(\d{1,9})", Pictures, parameters)],
            websocket_max_message_size=LARGEST,
        )
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise InputError(f"--port {port} is taken; use a different one, or 0 for any that is free") from error
    # Only pages of this server may talk to it.
    names = {f"{host}:{server.port}" for host in (ADDRESS, "localhost")}
    server._tornado.websocket_origins.clear()
    server._tornado.websocket_origins.update(names)
    server.start()
    return server


def serve(encoder: FrozenEncoder, shown: Vectors, originals: Originals, *, port: int) -> None:
    """Serve the page until Ctrl-C; InputError if the port is taken."""
    server = make(encoder, shown, originals, port=port)
    print(f"http://{ADDRESS}:{server.port}/ shows {len(shown.names):,} images; Ctrl-C ends it", flush=True)
    try:
        server.io_loop.start()
    except KeyboardInterrupt:
        server.stop()
