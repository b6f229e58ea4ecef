"""The door of the server: Host, Origin and token, for each path and method, and the WebSocket."""

import asyncio
import contextlib
import re
import socket

import pytest
from bokeh.util.token import generate_jwt_token
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from jaxembed.explore import door, server

PATHS = (
    *(
        "/",
        "",
        "/?x=1",
        "/image/0",
        "/image/999",
        "/search",
        "/texts",
        "/ws",
        "/metadata",
        "/favicon.ico",
        "/picture/0",
        "/near/0",
        "/colours/class",
        "/order/name",
        "/order/likeness/0",
        "/tags",
        "/tags/add?tag=x",
        "/tags/remove?tag=x",
        "/copies",
        "/vectors",
        "/nothing",
        "//",
    ),
    *("/static/js/bokeh.min.js", "/static/extensions/x/y.js", "/%2e%2e/etc/passwd", "http://127.0.0.1/"),
    "/autoload.js?bokeh-autoload-element=a",
)
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x"}


def refusals(site):
    here = f"127.0.0.1:{site.port}"
    for token in ("", "x", site.token[:-1], site.token + "x", "é"):
        yield {"token": token}
    for host in (f"evil.example:{site.port}", "evil.example", "127.0.0.2", "localhost.evil.example", "0.0.0.0"):
        yield {"headers": {"Host": host, "Origin": f"http://{host}"}}
    for origin in ("http://evil.example", "null", "", f"https://{here}", "http://127.0.0.1:1", f"http://{here}.x"):
        yield {"headers": {"Origin": origin}}


@pytest.mark.parametrize("path", PATHS)
def test_no_path_answers_without_the_token_to_another_host_or_to_a_page_of_another_server(path, site, caplog):
    for options in refusals(site):
        for method in ("GET", "HEAD", "POST", "OPTIONS", "PUT"):
            status, content, headers = site.ask(path or "?", method=method, **options)
            assert (status, "Set-Cookie" in headers) == (403, False), (method, options)
            assert content in (b"", *(line for line in content.splitlines(True) if line.startswith(b"jaxembed.")))
    if "?" not in path and path:
        assert site.ask(f"{path}?token=x&token={site.token[1:]}", token="")[0] == 403
    assert not site.server.get_sessions()
    assert not caplog.records


def test_the_printed_address_lets_in_and_sets_a_cookie_that_no_script_or_other_site_can_use(site):
    status, content, headers = site.ask(site.door.address.partition(str(site.port))[2], token="")
    assert status == 200
    assert headers["Set-Cookie"] == f"jaxembed-{site.port}={site.token}; HttpOnly; SameSite=Strict; Path=/"
    assert site.token.encode() not in content
    for path in ("/", "/image/0", "/static/js/bokeh.min.js", "/favicon.ico"):
        status, content, headers = site.ask(path, headers={"Host": f"localhost:{site.port}"})
        assert (status, "Set-Cookie" in headers) == (200, False)
        assert site.token.encode() not in content
    for status, path in ((404, "/nothing"), (404, "/metadata"), (404, "/autoload.js?bokeh-autoload-element=a")):
        got, _, headers = site.ask(path)
        assert got == status
        assert headers.items() >= door._HEADERS.items()
        assert "Access-Control-Allow-Origin" not in headers


def test_two_servers_have_two_secrets():
    assert door.Door(1).address != door.Door(1).address


async def read_document(site, headers, query=""):
    """Open the WebSocket of a session, and read its document."""
    address = HTTPRequest(f"ws://127.0.0.1:{site.port}/ws{query}", headers=headers)
    connection = await websocket_connect(address, subprotocols=["bokeh", generate_jwt_token("some-session")])
    while "ACK" not in str(await asyncio.wait_for(connection.read_message(), 30)):
        pass
    for part in ('{"msgid": "1", "msgtype": "PULL-DOC-REQ"}', "{}", "{}"):
        await connection.write_message(part)
    text = ""
    while "PULL-DOC-REPLY" not in text:
        text = str(await asyncio.wait_for(connection.read_message(), 30))
    text = "".join([str(await asyncio.wait_for(connection.read_message(), 30)) for _ in range(2)])
    connection.close()
    return text


def test_the_websocket_opens_only_for_the_token_and_a_page_of_this_server(site, caplog):
    def read(*arguments):
        return asyncio.run(read_document(site, *arguments))

    cookie, here = {"Cookie": f"jaxembed-{site.port}={site.token}"}, f"127.0.0.1:{site.port}"
    refused = [
        ({}, ""),
        ({}, "?token=x"),
        ({"Cookie": f"jaxembed-{site.port}=x"}, ""),
        ({"Cookie": f"jaxembed-{site.port + 1}={site.token}"}, ""),
        (cookie | {"Origin": "http://evil.example"}, ""),
        (cookie | {"Host": "evil.example", "Origin": "http://evil.example"}, ""),
        (cookie | {"Origin": f"http://localhost:{site.port}"}, ""),
    ]
    for arguments in refused:
        with pytest.raises(HTTPClientError, match="403"):
            read(*arguments)
    assert not site.server.get_sessions()
    for arguments in ((cookie | {"Origin": f"http://{here}"}, ""), ({}, f"?token={site.token}")):
        assert "23 images in the embedding of quickstart" in read(*arguments)
    assert not caplog.records


def test_a_page_that_is_loaded_keeps_nothing_and_too_many_open_ones_are_refused(site, monkeypatch):
    tokens = {re.search(rb'"token":"([^"]+)"', site.ask("/")[1])[1] for _ in range(5)}
    assert len(tokens) == 5
    assert not site.server.get_sessions()
    asyncio.run(read_document(site, {}, f"?token={site.token}"))
    monkeypatch.setattr(site.server._tornado, "_most", 1)
    for path in ("/", "/ws"):
        status, content, _ = site.ask(path)
        assert (status, b"close one" in content) == (503, True)
    assert site.ask("/image/0")[0] == 200


def test_slow_and_surplus_connections_are_closed(monkeypatch, request):
    monkeypatch.setattr(server, "SECONDS", 0.3)
    monkeypatch.setattr(server, "CONNECTIONS", 8)
    site = request.getfixturevalue("site")
    parts = [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-", b"POST / HTTP/1.1\r\nHost: localhost\r\n"]
    parts[2] += b"Content-Length: 9\r\n\r\n1"
    opened = [socket.create_connection(("127.0.0.1", site.port), 20) for _ in range(12)]
    for number, each in enumerate(opened):
        each.sendall(parts[number % 3])
    for each in opened:
        with contextlib.suppress(ConnectionResetError):
            assert b"200" not in each.recv(999)
        each.close()
    assert site.ask("/")[0] == 200


def test_no_page_elsewhere_frames_that_of_the_command(site):
    for path in ("/", "/nothing"):
        assert site.ask(path)[2]["Content-Security-Policy"] == "frame-ancestors 'none'"
