"""What the server answers: the page, the thumbnail of a picture by its row, and the neighbours of a query."""

import functools
import tempfile
from collections.abc import Callable, Container
from concurrent.futures import Executor
from typing import Any

import numpy as np
from bokeh.util.token import generate_jwt_token, generate_session_id
from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler, stream_request_body

from jaxembed.explore.atlas import Atlas
from jaxembed.explore.chosen import Chosen
from jaxembed.explore.page import LARGEST, SESSION
from jaxembed.explore.query import Query

# New pictures that are received or wait at a time, of all pages together, and seconds for receiving one.
WAITING, SECONDS = 64, 600


class Start(RequestHandler):
    """Sends the page. Its document is made when the page opens its WebSocket, so that this costs almost nothing."""

    def initialize(self, text: str) -> None:
        """Store the page, in which SESSION stands for a session's token."""
        self.text = text

    def get(self) -> None:
        """Send the page with the token of a new session."""
        self.set_header("Cache-Control", "no-store")
        self.write(self.text.replace(SESSION, generate_jwt_token(generate_session_id())))


class Texts(RequestHandler):
    """Sends the names and labels of all pictures."""

    def initialize(self, text: bytes) -> None:
        """Store the JSON."""
        self.text = text

    def get(self) -> None:
        """Send the JSON."""
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "private, no-cache")  # another run's server can have the same address
        self.write(self.text)


class Pictures(RequestHandler):
    """Serves a picture at `/image/<row>` or `/picture/<row>`; files cannot be requested by name."""

    def initialize(self, picture: Callable[[int], bytes], count: int, threads: Executor) -> None:
        """Store the function from a row to its picture, the number of rows, and the threads for it."""
        self.picture, self.count, self.threads = picture, count, threads

    async def get(self, row: str) -> None:
        """Send the picture; 404 if there is none."""
        if int(row) >= self.count:
            raise HTTPError(404)
        try:
            picture = await IOLoop.current().run_in_executor(self.threads, self.picture, int(row))
        except Exception as error:  # moved or damaged since the images were embedded
            raise HTTPError(404) from error
        self.set_header("Content-Type", "image/webp")
        self.set_header("Cache-Control", "private, no-cache")
        self.write(picture)


class Near(RequestHandler):
    """Sends what is known of a picture, and its neighbours, at `/near/<row>`."""

    def initialize(self, chosen: Chosen, count: int, threads: Executor) -> None:
        """Store what shows a picture, the number of rows, and the threads for it."""
        self.chosen, self.count, self.threads = chosen, count, threads

    async def get(self, row: str) -> None:
        """Send HTML and the position on the map; 404 if there is no such row."""
        if int(row) >= self.count:
            raise HTTPError(404)
        text, position = await IOLoop.current().run_in_executor(self.threads, self.chosen.show, int(row))
        self.set_header("Cache-Control", "private, no-cache")
        self.write({"text": text, "position": position})


class Colours(RequestHandler):
    """Sends the colours of one kind at `/colours/<kind>`."""

    def initialize(self, atlas: Atlas, threads: Executor) -> None:
        """Store what colours, and the thread for it."""
        self.atlas, self.threads = atlas, threads

    async def get(self, kind: str) -> None:
        """Send the codes, the palette, the legend and the marks; 404 if there is no such kind."""
        if kind not in self.atlas.kinds:
            raise HTTPError(404)
        self.set_header("Cache-Control", "private, no-cache")
        self.write(await IOLoop.current().run_in_executor(self.threads, self.atlas.answer, kind))


class Order(RequestHandler):
    """Sends all rows in an order, as int32: 400 kB for 100,000 pictures."""

    def initialize(self, sort: Callable[[Any], np.ndarray], kinds: Container, threads: Executor) -> None:
        """Store what sorts the rows, by what, and the threads for it."""
        self.sort, self.kinds, self.threads = sort, kinds, threads

    async def get(self, kind: str) -> None:
        """Send the rows; 404 if there is no such order."""
        asked = int(kind) if kind.isdecimal() else kind
        if asked not in self.kinds:
            raise HTTPError(404)
        rows = await IOLoop.current().run_in_executor(self.threads, self.sort, asked)
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Cache-Control", "private, no-cache")
        self.write(rows.astype("<i4").tobytes())


class Tags(RequestHandler):
    """Sends the rows of each tag at `/tags`."""

    def initialize(self, shown: Callable[[], dict[str, Any]], threads: Executor) -> None:
        """Store what reads the tags, and the threads for it."""
        self.shown, self.threads = shown, threads

    async def get(self) -> None:
        """Send the tags."""
        self.set_header("Cache-Control", "private, no-cache")
        self.write(await IOLoop.current().run_in_executor(self.threads, self.shown))


@stream_request_body
class Search(RequestHandler):
    """Receives a new picture into a temporary file, or a text in the address, and sends its neighbours.

    Decoding and embedding wait for their turn in `threads`, so that other requests are answered meanwhile.
    """

    def initialize(self, query: Query, threads: Executor, waiting: set) -> None:
        """Store what searches, the threads for it, and the requests that are received or wait."""
        self.query, self.threads, self.waiting = query, threads, waiting
        self.full: OSError | None = None

    def prepare(self) -> None:
        """Make room for the picture; 503 if too many wait. Tornado refuses one that is too large."""
        if len(self.waiting) >= WAITING:
            raise HTTPError(503)
        self.waiting.add(self)
        self.file = tempfile.TemporaryFile()  # noqa: SIM115  closed when the request ends
        self.request.connection.set_max_body_size(LARGEST)
        self.request.connection.set_body_timeout(SECONDS)

    def data_received(self, chunk: bytes) -> None:
        """Write a part of the picture."""
        try:
            self.file.write(chunk)
        except OSError as error:  # the disk is full
            self.full = error

    async def post(self) -> None:
        """Send the neighbours, or why there are none, as HTML, and the position on the map."""
        if self.full:
            raise HTTPError(507)
        if "text" in self.request.query_arguments:
            search = functools.partial(self.query.search_text, given(self, "text"))
        else:
            search = functools.partial(self.query.search, given(self, "name"), self.file)
        text, position = await IOLoop.current().run_in_executor(self.threads, search)
        self.write({"text": text, "position": position})

    def on_finish(self) -> None:
        """Forget the picture."""
        if self in self.waiting:
            self.waiting.remove(self)
            self.file.close()

    def on_connection_close(self) -> None:
        """Forget the picture of a page that was closed; if its turn has not come, nothing is decoded."""
        super().on_connection_close()
        self.on_finish()


def given(handler: RequestHandler, name: str) -> str:
    """Return a text that a request has in its address; "" without it."""
    return b"".join(handler.request.query_arguments.get(name, [])).decode("utf-8", "replace")
