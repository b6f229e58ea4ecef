"""What the page posts: the rows of a selection, to be tagged, copied or written as vectors."""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler, stream_request_body

from jaxembed.explore import handlers

# Bytes of a row, of a part of an answer, and seconds for receiving a selection.
ROW, PART, SECONDS = 4, 2**20, 60


@stream_request_body
class Rows(RequestHandler):
    """Receives some rows as int32, and does something with them in a thread: others are answered meanwhile."""

    def initialize(self, do: Callable[..., Any], count: int, threads: Executor) -> None:
        """Store what is done with rows, the number of all rows, and the threads for it."""
        self.do, self.count, self.threads = do, count, threads

    def prepare(self) -> None:
        """Make room for all rows; Tornado refuses more."""
        self.body = bytearray()
        self.request.connection.set_max_body_size(ROW * self.count)
        self.request.connection.set_body_timeout(SECONDS)

    def data_received(self, chunk: bytes) -> None:
        """Store a part of the rows."""
        self.body += chunk

    async def done(self, *more: Any) -> Any:
        """Do it with the rows, in order and each once; 400 if there are none, or others than there are."""
        if not self.body or len(self.body) % ROW:
            raise HTTPError(400)
        rows = np.unique(np.frombuffer(self.body, "<i4"))
        if rows[0] < 0 or rows[-1] >= self.count:
            raise HTTPError(400)
        return await IOLoop.current().run_in_executor(self.threads, self.do, rows.tolist(), *more)


class Tag(Rows):
    """Gives or takes a tag, whose name is in the address, at `/tags/add` and `/tags/remove`."""

    async def post(self, change: str) -> None:
        """Send what was done, or why nothing was, and all tags."""
        self.write(await self.done(change, handlers.given(self, "tag")))


class Copy(Rows):
    """Copies originals into the folder that the command line names, at `/copies`."""

    async def post(self) -> None:
        """Send what was copied."""
        self.write({"text": await self.done()})


class Vectors(Rows):
    """Writes the vectors of the rows, at `/vectors`."""

    async def post(self) -> None:
        """Send the file; 507 if there is no room for it on the disk."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "vectors.npz")
            try:
                await self.done(file)
            except OSError as error:
                raise HTTPError(507) from error
            self.set_header("Content-Type", "application/octet-stream")
            for part in _parts(file):
                self.write(part)
                await self.flush()


def _parts(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while part := stream.read(PART):
            yield part
