"""Files as a person sees them: in Debian's Chromium, headless, from a server of loopback with headers to choose."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import zlib
from collections.abc import Iterator, Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from embedded import images

Colour = tuple[int, int, int]
# Root has no sandbox; the others keep it from calling anywhere.
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync"]


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The browser with a profile of its own, installed first where it is missing."""
    if not shutil.which("chromium") and os.geteuid() == 0:
        # Debian's mirrors keep none but the last of its versions, so old lists name one that is gone.
        images.install("chromium", fresh=True)
    images.ensure_command("chromium", "chromium", "shows pages as a person sees them")
    with sync_playwright() as driver, driver.chromium.launch(executable_path=shutil.which("chromium"),
                                                             args=_FLAGS) as browser:
        yield browser


@contextlib.contextmanager
def served(folder: Path, headers: Mapping[str, str]) -> Iterator[str]:
    """The address of the folder's files, each sent with these headers."""

    class Handler(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            for name, value in headers.items():
                self.send_header(name, value)
            super().end_headers()

        def do_GET(self) -> None:
            # A browser asks for it on its own.
            if self.path == "/favicon.ico":
                self.send_response(204)
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: Handler(*given, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def pixel(page: Page, x: float, y: float) -> Colour:
    """The colour that is seen at this place of the page, read from a screenshot."""
    scrolled = page.evaluate("y => { scrollTo(0, y - 100); return scrollY; }", y)
    image = page.screenshot(clip={"x": int(x), "y": int(y - scrolled), "width": 1, "height": 1})
    packed, place = b"", 8
    while place < len(image):
        size = int.from_bytes(image[place:place + 4])
        packed += image[place + 8:place + 8 + size] if image[place + 4:place + 8] == b"IDAT" else b""
        place += size + 12
    # PNG: one line of one pixel, after the byte of its filter, which changes nothing without neighbours.
    line = zlib.decompress(packed)
    return line[1], line[2], line[3]


def rgb(text: str) -> Colour:
    """Of a computed style."""
    red, green, blue = re.findall(r"[\d.]+", text)[:3]
    return int(red), int(green), int(blue)


def contrast(one: Colour, other: Colour) -> float:
    """WCAG's contrast ratio, from 1 to 21; it asks for 3 between graphics and 4.5 for text."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Colour) -> float:
    red, green, blue = (part / 255 / 12.92 if part / 255 <= 0.04045 else ((part / 255 + 0.055) / 1.055) ** 2.4
                        for part in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
