"""The third act: a server that streams tokens to its clients as server-sent events, over HTTP.

One program, whose streams are native generators, 1.10's or isolated ones. What a client gets and what the server reports is
printed; with `make demo-web` a browser shows it.
"""

import asyncio
import contextlib
import gc
import json
import re
import sys
from http import HTTPStatus
from urllib.parse import parse_qs, urlencode, urlsplit

from async_generator import async_generator
from cases import CASES, HEARTBEAT, LEAVES, LEAVES_AFTER, NUMBER, STALL
from contenders import HERE, NATIVE, OURS, PEER, modules, peer
from progress import watcher

ENDS = ("end", "timeout")
GONE = (ConnectionError, asyncio.IncompleteReadError)


def streams():
    """{contender: a function that makes the stream of a case}."""
    found = {name: module.tokens for name, module in modules("tokens").items()}
    found[OURS] = async_generator(found[OURS], isolated=True)
    if PEER in found:
        found[PEER] = peer().async_generator(found[PEER])
    return {name: found[name] for name in (NATIVE, PEER, OURS) if name in found}


# --- the server ----------------------------------------------------------------------------------------------------------


async def send_borrowed(stream, send):
    """As one writes it for a native generator."""
    while True:
        try:
            token = await asyncio.wait_for(stream.__anext__(), HEARTBEAT)
        except (TimeoutError, asyncio.TimeoutError):
            await send("ping")
        except StopAsyncIteration:
            return await send("end")
        else:
            await send(token)


async def send_isolated(stream, send):
    async with stream:
        try:
            while True:
                await send(await stream.anext(timeout=HEARTBEAT, default="ping"))
        except StopAsyncIteration:
            await send("end")
        except TimeoutError:
            await send("timeout")


class Server:
    """`reports` has what went wrong, by contender and case: one stream after another is asked for."""

    def __init__(self):
        self.streams = streams()
        self.reports = {}
        self.current = None
        self.open = 0

    async def __aenter__(self):
        asyncio.get_running_loop().set_exception_handler(self.report_of_loop)
        self.server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        await self.server.wait_closed()

    def report_of_loop(self, loop, context):
        """What no handler gets: errors of tasks that nobody awaits."""
        self.report(context["message"].strip(), context.get("exception"))

    def report(self, where, error):
        told = re.sub("<Token .*>", "<Token ...>", repr(error))
        self.reports.setdefault(self.current, []).append(f"{where}: {told}")

    async def answer(self, reader, writer):
        self.open += 1
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            url = urlsplit(request.split()[1].decode())
            query = {name: value[0] for name, value in parse_qs(url.query).items()}
            if url.path == "/stream" and query.get("who") in self.streams and query.get("case") in CASES:
                await self.stream(query["who"], query["case"], reader, writer)
            else:
                self.page(url.path, writer)
                await writer.drain()
        except GONE:
            pass
        finally:
            writer.close()
            self.open -= 1

    async def stream(self, who, case, reader, writer):
        self.current = who, case
        self.reports.pop(self.current, None)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n")

        async def send(word):
            if reader.at_eof():
                raise ConnectionResetError("the client has left")
            writer.write(f"data: {word}\n\n".encode())
            await writer.drain()
            if case == "timeout":
                await asyncio.sleep(STALL)  # the client reads slowly

        stream = self.streams[who](case)
        try:
            await (send_isolated if who == OURS else send_borrowed)(stream, send)
        except GONE:
            pass
        except BaseException as error:  # of CancelledError, too: nobody has cancelled this task
            self.report("in the client's handler", error)

    def page(self, path, writer):
        if path == "/":
            kind, body = "text/html", (HERE / "server.html").read_bytes()
        elif path == "/setting":
            kind, body = (
                "application/json",
                json.dumps({"cases": CASES, "contenders": list(self.streams), "leaves": LEAVES}).encode(),
            )
        elif path == "/reports":
            told = [[*stream, reports] for stream, reports in self.reports.items()]
            kind, body = "application/json", json.dumps(told).encode()
        else:
            writer.write(f"HTTP/1.1 {HTTPStatus.NOT_FOUND} Not Found\r\nContent-Length: 0\r\n\r\n".encode())
            return
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


# --- its clients, and what they meet -------------------------------------------------------------------------------------


async def ask(port, who, case):
    """The words that a client gets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    words = []
    try:
        writer.write(f"GET /stream?{urlencode({'who': who, 'case': case})} HTTP/1.1\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        async for line in reader:
            if line.startswith(b"data: "):
                words.append(line[6:].decode().strip())
            if case in LEAVES and len(words) == LEAVES_AFTER:
                break
    finally:
        writer.close()
    return words


async def settled(server):
    """Until the server is done with its clients; what it has dropped is closed by then."""
    while server.open:
        await asyncio.sleep(0.01)
    for _ in range(3):
        gc.collect()
        await asyncio.sleep(0.01)


def verdict(words, reports):
    """What a client and its server met, in a line."""
    if reports:
        return reports[0]
    tokens = sum(word.startswith("token") for word in words)
    pings = words.count("ping")
    heartbeats = f", {pings} heartbeat{'s' * (pings != 1)}" if pings else ""
    return f"{tokens} of {NUMBER} tokens{heartbeats}, {words[-1] if words and words[-1] in ENDS else 'left'}"


def is_right(case, words, reports):
    if case == "cleanup":  # its error reaches the one who closes
        return reports == ["in the client's handler: OSError('the connection could not be given back')"]
    if case == "timeout":
        return words[-1:] == ["timeout"] and not reports
    return not reports and (case in LEAVES or [word for word in words if word != "ping"][NUMBER:] == ["end"])


async def clients(bar):
    """Each client of each contender: {case: {contender: verdict}}, and whether this package's were right."""
    found, right = {}, True
    async with Server() as server:
        task = bar.add_task("server", len(CASES) * len(server.streams))
        for case in CASES:
            for who in server.streams:
                words = await asyncio.wait_for(ask(server.port, who, case), 20)
                await settled(server)
                reports = server.reports.get((who, case), [])
                found.setdefault(case, {})[who] = verdict(words, reports)
                right = right and (who != OURS or is_right(case, words, reports))
                bar.advance(task)
    return found, right


def act():
    """Prints what each client met. False when this package answered otherwise than it should."""
    with watcher() as bar:
        found, right = asyncio.run(clients(bar))
    print("\n3. a server that streams tokens, with heartbeats")
    for case, verdicts in found.items():
        print(f"  {CASES[case]}")
        for who, told in verdicts.items():
            print(f"    {who:22} {told}")
    if not right:
        print(f"WRONG: {OURS} answered otherwise than it should", file=sys.stderr)
    return right


async def until_interrupted():
    async with Server() as server:
        print(f"http://127.0.0.1:{server.port}/ until Ctrl-C", flush=True)
        await asyncio.Event().wait()


def serve_web():
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(until_interrupted())
    return 0
