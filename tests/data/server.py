"""A web server on this machine that serves one body, and whatever can go wrong with it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STATUS = {"missing": 404, "busy": 503}


@dataclass
class Server:
    """What is served, what goes wrong, and what was asked for.

    Attributes:
        body: The file.
        url: Of the file.
        faults: Of the next requests, one each: "missing", "busy", "silent" or "broken off" after half of what was asked
            for, "mute" from the first byte on, "other part" instead of the one asked for, "nameless" without a length.
        fault: Of every request after those.
        ranges: Whether it sends parts of a file.
        gate: Half of a file is sent before it opens, the rest when it does; it is open unless a test clears it.
        asked: The Range header of each request so far, empty where there was none.
    """

    body: bytes = b""
    url: str = ""
    faults: list[str] = field(default_factory=list)
    fault: str = ""
    ranges: bool = True
    gate: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answers one request as the next fault says."""
        wanted = request.headers.get("Range", "")
        self.asked.append(wanted)
        fault = self.faults.pop(0) if self.faults else self.fault
        if fault == "mute":
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-") or 0) if self.ranges else 0
        if fault == "other part":
            start = 0
        rest = self.body[start:]
        request.send_response(STATUS.get(fault, 206 if wanted and self.ranges else 200))
        if wanted and self.ranges:
            request.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        if fault != "nameless":
            request.send_header("Content-Length", str(len(rest)))
        request.end_headers()
        half = len(rest) // 2
        request.wfile.write(rest[:half])
        request.wfile.flush()
        if fault == "silent":
            time.sleep(1)
        elif fault != "broken off":
            self.gate.wait()
            with suppress(ConnectionError):  # who asked may be dead by now
                request.wfile.write(rest[half:])


@contextmanager
def serving() -> Iterator[Server]:
    """A server that runs until the end of the block."""
    state = Server()
    state.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{http.server_address[1]}/archive.tar.gz"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield state
    finally:
        state.gate.set()
        http.shutdown()
        thread.join()
        http.server_close()
