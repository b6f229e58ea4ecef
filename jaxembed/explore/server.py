"""The server of the page; it serves this machine only."""

import os
import resource
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.server import BaseServer
from tornado import netutil
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream
from tornado.web import ErrorHandler

from jaxembed.core.errors import InputError
from jaxembed.embed import index
from jaxembed.embed.encoder import Encoder
from jaxembed.embed.sources import Album
from jaxembed.embed.vectors import Vectors
from jaxembed.explore.atlas import Atlas
from jaxembed.explore.chosen import Chosen
from jaxembed.explore.desk import Desk
from jaxembed.explore.door import ADDRESS, Door, Guarded
from jaxembed.explore.handlers import Colours, Near, Pictures, Search, Start, Texts
from jaxembed.explore.page import Page
from jaxembed.explore.query import Query
from jaxembed.explore.thumbnails import Thumbnails

# Open pages, and connections, which are half of the files that a process may open on most machines.
PAGES, CONNECTIONS = 64, min(512, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
# Seconds in which a connection must send the headers of a request, or its small body; bytes of that, and of a
# message on the WebSocket, which names the selected rows.
SECONDS, BODY, MESSAGE = 10, 2**16, 32 * 2**20
# Milliseconds between looks for documents whose page was closed.
CLEANING = 5000


def listen(port: int) -> list[socket.socket]:
    """Listen on a local port, 0 for any free port; InputError if it is in use."""
    try:
        return netutil.bind_sockets(port, ADDRESS)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"cannot listen on --port {port}: {reason}; use --port=0 for a free port") from error


def make(
    encoder: Encoder | None,
    embedded: Vectors,
    originals: Album | None,
    atlas: Atlas,
    desk: Desk,
    sockets: Sequence[socket.socket],
    door: Door,
) -> BaseServer:
    """Make the server behind a door; it answers on the sockets once its loop runs.

    Without an encoder, there is no search for new pictures.
    """
    has_words = encoder is not None and encoder.has_words
    page = Page(embedded, originals, atlas, takes_pictures=encoder is not None, takes_texts=has_words)
    application = Guarded(
        door,
        PAGES,
        {"/": Application(FunctionHandler(page.add_to))},
        websocket_max_message_size_bytes=MESSAGE,
        check_unused_sessions_milliseconds=CLEANING,
        include_headers=[],
        include_cookies=[],
    )
    handlers = [
        (r"/?", Start, {"text": page.text(application.resources(), desk.values())}),
        (r"/texts", Texts, {"text": page.texts().encode()}),
        (r"/(?:autoload.js|metadata)", ErrorHandler, {"status_code": 404}),  # Bokeh's: they make documents
        (r"/colours/(.+)", Colours, {"atlas": atlas, "threads": ThreadPoolExecutor(1)}),
        *_answers(encoder, embedded, originals, page),
        *desk.answers(page.selection, ThreadPoolExecutor(os.cpu_count())),
    ]
    application.add_handlers(".*", handlers)  # before Bokeh's own
    http_server = _Server(application, idle_connection_timeout=SECONDS, body_timeout=SECONDS, max_body_size=BODY)
    http_server.add_sockets(sockets)
    server = BaseServer(IOLoop.current(), application, http_server)
    server.start()
    return server


def _answers(
    encoder: Encoder | None, embedded: Vectors, originals: Album | None, page: Page
) -> Iterator[tuple[str, type, dict]]:
    """Yield what answers for pictures, their neighbours and, with an encoder, new pictures."""

    search_index = index.make(np.asarray(embedded.embeddings), distance=embedded.about.distance)
    given = {"count": len(embedded.names), "threads": ThreadPoolExecutor(os.cpu_count())}
    if originals:
        thumbnails = Thumbnails(originals, embedded.names)
        given["threads"].submit(thumbnails.make_room)
        yield r"/image/(\d{1,9})", Pictures, given | {"picture": thumbnails.draw}
        yield r"/picture/(\d{1,9})", Pictures, given | {"picture": thumbnails.draw_large}
    yield r"/near/(\d{1,9})", Near, given | {"chosen": Chosen(embedded, page.names, search_index, originals)}
    if encoder:
        query = Query(encoder, embedded, page.names, search_index)
        # One thread: decoding a new picture takes up to two gigabytes.
        yield r"/search", Search, {"query": query, "threads": ThreadPoolExecutor(1), "waiting": set()}


def serve(
    encoder: Encoder | None,
    embedded: Vectors,
    originals: Album | None,
    atlas: Atlas,
    desk: Desk,
    sockets: Sequence[socket.socket],
) -> None:
    """Serve the page until Ctrl-C."""
    door = Door(sockets[0].getsockname()[1])
    server = make(encoder, embedded, originals, atlas, desk, sockets, door)
    print(f"Serving {len(embedded.names):,} images at {door.address}; press Ctrl-C to stop", flush=True)
    server.io_loop.start()


class _Server(HTTPServer):
    """Drops what is above the most connections, as long as slow ones have not timed out."""

    def handle_stream(self, stream: IOStream, address: tuple) -> None:
        if len(self._connections) < CONNECTIONS:
            super().handle_stream(stream, address)
        else:
            stream.close()
