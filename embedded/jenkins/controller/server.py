"""HTTP: connections, and for every request who sent it and whether it may."""

from __future__ import annotations

import http.server
import socket
import socketserver
import traceback
import urllib.parse
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any

from . import api, log
from .security import BadCredentials
from .web import Answer, Request, html, page

if TYPE_CHECKING:
    from .controller import Controller

MAXIMUM_BODY = 32 * 1024 * 1024


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        chosen = controller.settings
        self.address_family = socket.AF_INET6 if ":" in chosen.address else socket.AF_INET
        super().__init__((chosen.address, chosen.port), Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's: that one asks DNS for this machine's name.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.controller.settings.address, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    timeout = 60
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_HEAD = do_DELETE = do_PUT = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Jenkins has no access log by default."""

    def version_string(self) -> str:
        return "Jetty(12.0.22)"

    def _answer(self) -> None:
        controller = self.server.controller
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if length < 0 or length > MAXIMUM_BODY or "Transfer-Encoding" in self.headers:
            # Nothing that calls here sends a body in chunks.
            self.close_connection = True
            self._send(page(413 if length > 0 else 400, "Bad request"))
            return
        body = self.rfile.read(length)
        split = urllib.parse.urlsplit(self.path)
        request = Request(self.command, urllib.parse.unquote(split.path),
                          urllib.parse.parse_qs(split.query, keep_blank_values=True), self.headers, body)
        try:
            answer = respond(controller, request)
        except Exception:
            log.warning("h.i.i.InstallUncaughtExceptionHandler#handleException",
                        f"Caught unhandled exception at {request.path!r}\n{traceback.format_exc()}")
            answer = page(500, "Oops!", "A problem occurred while processing the request")
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        controller = self.server.controller
        self.send_response(answer.status)
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in (("X-Hudson", "1.395"), ("X-Jenkins", controller.settings.version),
                            ("X-Jenkins-Session", controller.session_id), *answer.headers.items()):
            self.send_header(name, value.encode("ascii", "replace").decode())
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)


def respond(controller: Controller, request: Request) -> Answer:
    """The filters before the pages: is Jenkins up, who asks, may they, is there a crumb."""
    if not controller.ready.is_set():
        return page(503, "Starting Jenkins", "Please wait while Jenkins is getting ready to work ...",
                    Cache_Control="no-cache,no-store")
    prefix = controller.settings.prefix
    if prefix:
        if not request.path.startswith(f"{prefix}/"):
            return page(404, "Error 404 Not Found")
        request.path = request.path[len(prefix):]
    security = controller.security
    request.session = _session(request, security.cookie)
    try:
        request.caller = security.identify(request.headers.get("Authorization", ""), request.session)
    except BadCredentials as error:
        return page(401, "Error 401 Unauthorized", f"Invalid password/token for user: {html(str(error))}",
                    WWW_Authenticate='Basic realm="Jenkins"')
    if request.method in ("POST", "PUT", "DELETE") and not request.caller.by_token and security.policy.crumbs:
        crumb = request.headers.get("Jenkins-Crumb") or request.form.get("Jenkins-Crumb", [""])[0]
        # The login form is where a session begins.
        if request.path != "/j_spring_security_check" and not (
                crumb and security.crumb_fits(request.caller, request.session, crumb)):
            return page(403, "Error 403 No valid crumb was included in the request")
    return api.page_of(controller, request)


def _session(request: Request, cookie: str) -> str:
    try:
        morsel = SimpleCookie(request.headers.get("Cookie", "")).get(cookie)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
