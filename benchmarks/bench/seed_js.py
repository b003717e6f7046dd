"""Node.js and Chromium as children that live as long as the scenario: orders in, reports out, asleep in between."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from .contest import Missing

SOURCE = Path(__file__).with_name("seed_src")
# Seconds for a report, for a browser's start, for a page's question to be answered at all, and for a child's end.
PATIENCE, START, POLL, END = 20, 30, 10, 5


class Child:
    """What is common: a queue of reports, and what to say when none comes."""

    def __init__(self):
        self.reports = SimpleQueue()

    def ask(self, order):
        """Have an order carried out and return the report."""
        self.hand_over(order)
        try:
            report = self.reports.get(timeout=PATIENCE)
        except Empty:
            raise AssertionError(f"{order}: no report within {PATIENCE} s") from None
        assert "error" not in report, f"{order}: {report['error']}"
        return report


class Node(Child):
    """A Node.js process; orders and reports are lines of JSON."""

    def __init__(self, source=SOURCE):
        super().__init__()
        program = shutil.which("node")
        if program is None:
            raise Missing("Node.js is not installed")
        self.process = subprocess.Popen(
            [program, source / "node.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.reader = Thread(target=self.read)
        self.reader.start()

    def read(self):
        """Take reports until the process has ended."""
        for line in self.process.stdout:
            self.reports.put(json.loads(line))
        self.reports.put({"error": "Node.js has ended"})

    def hand_over(self, order):
        # Where it has ended, the reader says so.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{json.dumps(order)}\n")
            self.process.stdin.flush()

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(END)
        self.reader.join()
        self.process.stdout.close()


class Handler(SimpleHTTPRequestHandler):
    """Serves the page to itself: files, the next order, and a place for reports."""

    protocol_version = "HTTP/1.1"
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # noqa: RUF012

    def handle(self):
        # The page may end while it asks.
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self):
        if self.path == "/next":
            self.next_order()
        else:
            super().do_GET()

    def next_order(self):
        """Answer the page's question; without an order for a while the page asks again."""
        self.server.started.put(None)
        try:
            order = self.server.orders.get(timeout=POLL)
        except Empty:
            order = None
        body = b"" if order is None else json.dumps(order).encode()
        self.send_response(200 if body else 204)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.reports.put(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def end_headers(self):
        # An isolated page gets a clock of 5 us; another one's is of 100 us.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_):
        """Keep quiet."""


class Chromium(Child):
    """A headless browser with one page, which asks a server on the loopback for orders."""

    OPTIONS = """
        --headless --disable-gpu --disable-quic --no-first-run --disable-background-networking
        --disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required
    """.split()

    def __init__(self, source=SOURCE):
        super().__init__()
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        if program is None:
            raise Missing("Chromium is not installed")
        with contextlib.ExitStack() as stack:
            self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=source))
            stack.callback(self.server.server_close)
            self.server.reports, self.server.orders, self.server.started = self.reports, SimpleQueue(), SimpleQueue()
            Thread(target=self.server.serve_forever, daemon=True).start()
            stack.callback(self.server.shutdown)
            folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            with Path(folder, "log").open("wb") as log:
                self.process = subprocess.Popen(
                    self.command(program, folder), stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
                )
            stack.callback(self.end)
            try:
                self.server.started.get(timeout=START)
            except Empty:
                said = Path(folder, "log").read_text(errors="replace").splitlines()
                raise Missing(f"Chromium does not come to its page within {START} s: {said[-1:]}") from None
            self.stack = stack.pop_all()

    def command(self, program, folder):
        # Its sandbox refuses to be root's; the page is our own.
        options = [*self.OPTIONS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        page = f"http://127.0.0.1:{self.server.server_port}/page.html"
        return [program, *options, f"--user-data-dir={folder}", page]

    def hand_over(self, order):
        self.server.orders.put(order)

    def end(self):
        """End the browser with all its processes, which are a group of their own."""
        for which in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, which)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(END)

    def close(self):
        self.stack.close()
