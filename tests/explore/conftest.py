"""A server of the page, in a thread, and what it shows."""

import asyncio
import contextlib
import http.client
import threading
from typing import NamedTuple

import clip_folders
import numpy as np
import pytest
from bokeh.server.server import BaseServer
from PIL import Image

from jaxembed.embed import frozen, sources
from jaxembed.embed.frozen import FrozenEncoder
from jaxembed.embed.vectors import About, Vectors
from jaxembed.explore import server
from jaxembed.explore.atlas import Atlas
from jaxembed.explore.desk import Desk
from jaxembed.explore.door import Door

RANDOM = np.random.default_rng(0)
NAMES = [*(f"{number:02d}.png" for number in range(20)), "a\nb.png", "<script>alert(1)<script>.png", "quote\"'.png"]


class Site(NamedTuple):
    """A running server."""

    server: BaseServer
    door: Door
    port: int

    @property
    def token(self) -> str:
        return self.door.address.partition("=")[2]

    @property
    def waiting(self) -> set:
        """The uploads that are received or wait."""
        rules = self.server._tornado.default_router.rules[0].target.rules
        return next(each.target_kwargs["waiting"] for each in rules if "waiting" in each.target_kwargs)

    def ask(self, path: str, *, method="GET", body=None, headers=None, token=None) -> tuple[int, bytes, dict]:
        """Ask as no browser would: with these headers only, and the token as a cookie."""
        cookie = f"jaxembed-{self.port}={self.token if token is None else token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"Cookie": cookie} | (headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())
        finally:
            connection.close()


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Keep thumbnails out of the user's cache folder."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    """An encoder with words, in which nobody has trained it."""
    folder = clip_folders.write(tmp_path_factory.mktemp("clip"))
    return FrozenEncoder(frozen.saved("quickstart")._replace(text=folder))


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Pictures of many sizes, some with names that must be escaped."""
    folder = tmp_path_factory.mktemp("photos")
    for name in NAMES:
        size = tuple(RANDOM.integers(8, 40, 2).tolist())
        Image.fromarray(RANDOM.integers(0, 256, (4, 4, 3), np.uint8)).resize(size).save(folder / name)
    return folder


@pytest.fixture(scope="session")
def embedded(photos, encoder):
    labels = [name[0] for name in NAMES]
    about = About(str(photos), "quickstart", encoder.saved.sha256, "cosine")
    positions = RANDOM.uniform(-1, 1, (len(NAMES), 2)).astype(np.float32)
    return Vectors(encoder.embed([photos / name for name in NAMES]), NAMES, labels, about, positions)


@contextlib.contextmanager
def serving(encoder, embedded, originals, *, tagged=None, copied=None, **more):
    """Serve an encoder or None, embeddings and pictures, with a file of tags and a folder of copies, if any."""
    atlas = Atlas(embedded, originals, **more)
    desk = Desk(embedded, originals, tagged=tagged, copied=copied)
    started, made = threading.Event(), []

    def serve():
        asyncio.set_event_loop(asyncio.new_event_loop())
        sockets = server.listen(0)
        port = sockets[0].getsockname()[1]
        door = Door(port)
        running = server.make(encoder, embedded, originals, atlas, desk, sockets, door)
        made.append(Site(running, door, port))
        started.set()
        running.io_loop.start()
        running.stop()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert started.wait(30)
    yield made[0]
    made[0].server.io_loop.add_callback(made[0].server.io_loop.stop)
    thread.join(10)


@pytest.fixture
def serve():
    """Return what serves a page of other options than those of `site`."""
    return serving


@pytest.fixture
def site(photos, encoder, embedded, tmp_path):
    kept = {"tagged": tmp_path / "v.tags.csv", "copied": tmp_path / "copies"}
    with serving(encoder, embedded, sources.open_source(str(photos)), **kept) as running:
        yield running


@pytest.fixture
def site_without_encoder(photos, embedded):
    elsewhere = embedded._replace(about=About("", "<b>dino", "", "cosine"))
    with serving(None, elsewhere, sources.Pictures(photos, embedded.names)) as running:
        yield running
