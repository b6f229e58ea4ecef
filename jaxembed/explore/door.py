"""The door: each request needs the secret of the printed address, and comes from a page of this server or none."""

import functools
import secrets
from typing import Any

from bokeh.server.tornado import BokehTornado
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, HTTPServerRequest
from tornado.web import OutputTransform, RequestHandler

ADDRESS = "127.0.0.1"
# What a page of this server may have as its host, at any port: an SSH tunnel can begin at another one.
HOSTS = (ADDRESS, "localhost")
# Pages that may show this server's in a frame: none, or those of a notebook on this machine.
NOBODY, NOTEBOOKS = "'none'", " ".join(f"http://{host}:*" for host in HOSTS)
# Sent with every answer: a page elsewhere can't load it, and its address, with the secret, stays here.
_HEADERS = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Door:
    """Decides who may come in.

    Attributes:
      address: the page's address, with the secret: whoever has it may see everything.
      frames: which pages may show this server's in a frame.
    """

    def __init__(self, port: int, frames: str = NOBODY) -> None:
        """Choose a secret for the server at a port."""
        self.frames = frames
        self._secret = secrets.token_urlsafe(32)
        self._cookie = f"jaxembed-{port}"  # a browser shares cookies between the ports of a host
        self.address = f"http://{ADDRESS}:{port}/?token={self._secret}"

    def refusal(self, request: HTTPServerRequest) -> str:
        """Return why a request may not come in, before anything else is done with it; nothing if it may."""
        if request.host_name not in HOSTS:  # the name of another host, which has let it point at this machine
            return "requests must be addressed to 127.0.0.1 or localhost"
        if request.headers.get("Origin", f"http://{request.host}") != f"http://{request.host}":
            return "requests must not come from a page of another server"
        if not (self._in_address(request) or self._in_cookie(request)):
            return "open the address that jaxembed.explore printed, with its token"
        return ""

    def cookie(self, request: HTTPServerRequest) -> str:
        """Return the cookie for a request that has the secret in its address; nothing for another one."""
        cookie = f"{self._cookie}={self._secret}; HttpOnly; SameSite=Strict; Path=/"
        return cookie if self._in_address(request) and not self.refusal(request) else ""

    def _in_address(self, request: HTTPServerRequest) -> bool:
        return any(self._is_secret(given) for given in request.query_arguments.get("token", []))

    def _in_cookie(self, request: HTTPServerRequest) -> bool:
        cookie = request.cookies.get(self._cookie)
        return cookie is not None and self._is_secret(cookie.value.encode("utf-8", "replace"))

    def _is_secret(self, given: bytes) -> bool:
        return secrets.compare_digest(given, self._secret.encode())


class Guarded(BokehTornado):
    """Bokeh's application behind a door: whatever its path, no request reaches a handler that the door refuses."""

    def __init__(self, door: Door, most: int, *args: Any, **options: Any) -> None:
        """Make the application; with more open pages than `most`, no other is opened."""
        self._door, self._most = door, most
        # Bokeh's own check of the origin would be a second one.
        origins = [f"{host}:*" for host in HOSTS]
        super().__init__(
            *args,
            extra_websocket_origins=origins,
            transforms=[functools.partial(_Headers, door)],
            log_function=lambda _: None,  # of refused requests, which anybody can send
            **options,
        )

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> HTTPMessageDelegate:
        """Find what answers a request; Tornado asks when it has the headers, for every path and the WebSocket."""
        if text := self._door.refusal(request):
            return self.get_handler_delegate(request, _Refused, {"status": 403, "text": text})
        if request.path in ("", "/", "/ws") and self._opened() >= self._most:
            text = f"{self._most} pages are open, which is the most; close one and reload this page"
            return self.get_handler_delegate(request, _Refused, {"status": 503, "text": text})
        return super().find_handler(request, **options)

    def _opened(self) -> int:
        return sum(max(1, session.connection_count) for session in self.get_sessions("/"))


class _Refused(RequestHandler):
    """Answers any request with a status and a line of text."""

    def initialize(self, status: int, text: str) -> None:
        self.status, self.text = status, text

    def prepare(self) -> None:
        self.set_status(self.status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"jaxembed.explore: {self.text}\n")


class _Headers(OutputTransform):
    """Adds the headers that every answer has."""

    def __init__(self, door: Door, request: HTTPServerRequest) -> None:
        self.cookie = door.cookie(request)
        self.headers = _HEADERS | {"Content-Security-Policy": f"frame-ancestors {door.frames}"}

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        for name, value in self.headers.items():
            headers[name] = value
        if self.cookie:
            headers.add("Set-Cookie", self.cookie)
        return status_code, headers, chunk
