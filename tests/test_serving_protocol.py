"""Connections over a socket: what is no HTTP, and what never comes."""

import asyncio
import json

import pytest
import uvicorn
from serving_tools import service

from xmc.serving import bodies, protocol


async def spoken(app, *sent):
    """What comes back until the connection ends, if no more is sent than this; each part once the
    one before is answered.
    """
    how = {"log_config": None, "lifespan": "off", "ws": "none", "http": protocol.Protocol}
    server = uvicorn.Server(uvicorn.Config(app, port=0, **how))
    running = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    try:
        for part in sent[:-1]:
            writer.write(part)
            answers.append(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20))
            length = int(answers[-1].lower().partition(b"content-length: ")[2].split()[0])
            answers.append(await asyncio.wait_for(reader.readexactly(length), 20))
        writer.write(sent[-1])
        return b"".join([*answers, await asyncio.wait_for(reader.read(), 20)])
    finally:
        writer.close()
        server.should_exit = True
        await running


@pytest.fixture(scope="module")
def app():
    return service()


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"],
)
def test_what_is_no_http_is_a_400_as_json(app, sent):
    head, _, body = asyncio.run(spoken(app, sent)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert json.loads(body) == {"error": "expected a request of HTTP/1.1, got something else"}


@pytest.mark.parametrize("sent", [b"", b"POST /predict HTT"])
def test_a_connection_that_sends_no_request_is_ended(app, sent, monkeypatch):
    monkeypatch.setattr(protocol, "SECONDS", 0.2)
    assert asyncio.run(spoken(app, sent)) == b""


def test_a_connection_that_goes_on_ends_where_the_next_request_does_not_come_whole(
    app, monkeypatch
):
    monkeypatch.setattr(protocol, "SECONDS", 0.2)
    asked = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
    answer = asyncio.run(spoken(app, asked, asked, b"GET /hea"))
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2 and answer.endswith(b"}")


def test_a_client_that_hangs_in_mid_body_is_told_so(app, monkeypatch):
    monkeypatch.setattr(bodies, "SECONDS", 0.2)
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    answer = asyncio.run(spoken(app, head + b'Content-Length: 99\r\n\r\n{"text'))
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert answer.endswith(b'{"error": "body: expected all of it within 0.2 seconds"}')


def test_a_patient_client_is_answered(app, monkeypatch):
    monkeypatch.setattr(protocol, "SECONDS", 0.2)
    answer = asyncio.run(
        spoken(app, b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    )
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b'"status":"ok"' in answer
