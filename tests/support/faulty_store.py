"""An S3 server on this machine, and a proxy before it that is busy, slow, and cuts connections."""

import http.client
import itertools
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BUSY = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>'


class FaultyProxy(ThreadingHTTPServer):
    """Hands requests to another server; every `each`-th meets a fault, of which there are several, in turn.

    each: 0 for none; met: the faults so far.
    """

    daemon_threads = True

    def __init__(self, port: int):
        super().__init__(('127.0.0.1', 0), Handler)
        self.port, self.each = port, 0
        self.requests = itertools.count(1)
        self.faults = itertools.cycle(('busy', 'cut before', 'slow', 'cut after', 'half'))
        self.met: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def fault(self) -> str | None:
        if not self.each or next(self.requests) % self.each:
            return None
        self.met.append(next(self.faults))
        return self.met[-1]

    def handle_error(self, request, address) -> None:
        """Say nothing of connections that were cut on purpose."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *message) -> None:
        pass

    def cut(self) -> None:
        self.close_connection = True

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        fault = self.server.fault()
        if fault == 'busy':
            self.reply(503, [('Content-Type', 'application/xml')], BUSY)
            return
        if fault == 'cut before':
            self.cut()
            return
        if fault == 'slow':
            time.sleep(0.3)
        upstream = http.client.HTTPConnection('127.0.0.1', self.server.port)
        upstream.request(self.command, self.path, body, dict(self.headers))
        response = upstream.getresponse()
        content = response.read()
        upstream.close()
        if fault == 'cut after':  # it was done, and nobody hears of it
            self.cut()
            return
        headers = [
            pair for pair in response.getheaders() if pair[0].lower() not in ('transfer-encoding', 'connection', 'date')
        ]
        self.reply(response.status, headers, content, half=fault == 'half' and len(content) > 1)

    def reply(self, status: int, headers: list[tuple[str, str]], content: bytes, *, half: bool = False) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() != 'content-length' or self.command == 'HEAD':
                self.send_header(name, value)
        if self.command != 'HEAD':
            self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if half else content)
        self.wfile.flush()
        if half:
            self.cut()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815
