"""The nginx configuration of the documentation, run by a real nginx: who has no password gets nowhere."""

import base64
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "bundle" / "docs" / "proxy.md"
NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
ANNA, BOB = (base64.b64encode(f"{name}:secret of {name}".encode()).decode() for name in ("anna", "bob"))
WRONG = base64.b64encode(b"anna:guess").decode()
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
BELIEVED = ("x-remote-user", "x-remote-groups", "x-api-key", "authorization", "x-forwarded-for")


class Upstream(ThreadingHTTPServer):
    """Stands for the app, and notes what reaches it."""

    def __init__(self) -> None:
        self.seen: list[list[tuple[str, str]]] = []
        super().__init__(("127.0.0.1", 0), Noting)


class Noting(BaseHTTPRequestHandler):
    """Answers everything with 200."""

    server: Upstream

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append([(name.lower(), value) for name, value in self.headers.items()])
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


for method in METHODS:
    setattr(Noting, f"do_{method}", Noting.answer)


def configuration(folder: Path, port: int, upstream: int) -> str:
    """The documented configuration, at other ports and without a certificate."""
    text = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    text = re.sub(r"\n *ssl_certificate.*", "", text)
    for documented, here in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port};"),
        ("http://127.0.0.1:8000;", f"http://127.0.0.1:{upstream};"),
        ("/etc/nginx/protoseg.htpasswd", str(folder / "users")),
    ):
        assert text.count(documented) == 1, documented
        text = text.replace(documented, here)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    main = f"{user} daemon off; pid {folder}/pid; error_log {folder}/log; events {{}}"
    return f"{main} http {{ access_log off; {paths}\n{text}}}"


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Upstream]]:
    if NGINX is None:
        pytest.skip("nginx is missing; ./scripts/test --e2e installs it when run as root")
    folder = tmp_path_factory.mktemp("nginx")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "users").write_text("anna:{PLAIN}secret of anna\nbob:{PLAIN}secret of bob\n", encoding="ascii")
    with Upstream() as upstream:
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        (folder / "conf").write_text(configuration(folder, port, upstream.server_port), encoding="ascii")
        command = [NGINX, "-p", str(folder), "-e", str(folder / "log"), "-c", str(folder / "conf")]
        nginx = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            for _ in range(200):
                assert nginx.poll() is None, nginx.communicate()
                with socket.socket() as client:
                    if client.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield port, upstream
        finally:
            nginx.terminate()
            nginx.communicate(timeout=20)
            upstream.shutdown()


def ask(port: int, method: str, path: str, *lines: str) -> int:
    """Send a request as it is spelled; give the status, or 0 where the connection was closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        head = [
            f"{method} {path} HTTP/1.1",
            "Host: label.example.org",
            "Content-Length: 0",
            "Connection: close",
            *lines,
        ]
        connection.sendall("\r\n".join([*head, "", ""]).encode("latin-1"))
        said = b""
        while chunk := connection.recv(4096):
            said += chunk
    return int(said.split()[1]) if said else 0


def test_who_has_no_password_gets_nowhere(proxied):
    port, upstream = proxied
    before = len(upstream.seen)
    forged = ("X-Remote-User: anna", "X-Remote-Groups: manage", "X-API-Key: " + "k" * 40)
    for credentials in ((), forged, (f"Authorization: Basic {WRONG}",), ("Authorization: Bearer x",)):
        for method in METHODS:
            for path in ("/", "/info/", "/library/", "/ohif/", "/docs", "/x/../library/", "//library/", "/%2e%2e/"):
                assert ask(port, method, path, *credentials) in (400, 401), (method, path)
    assert len(upstream.seen) == before, "nothing of it reached the app"


@pytest.mark.parametrize(("who", "name", "groups"), [(ANNA, "anna", "annotate,manage"), (BOB, "bob", "annotate")])
def test_the_app_hears_the_name_from_the_proxy_alone(proxied, who, name, groups):
    port, upstream = proxied
    forged = [
        ["X-Remote-User: root", "X-Remote-Groups: manage", "X-API-Key: " + "k" * 40, "X-Forwarded-For: 10.0.0.1"],
        ["x-remote-user: root", "X-REMOTE-USER: admin", "X-Remote-Groups: a", "X-Remote-Groups: manage"],
        ["X_Remote_User: root", "X_Remote_Groups: manage"],
        [],
    ]
    for lines in forged:
        assert ask(port, "GET", "/status/", f"Authorization: Basic {who}", *lines) == 200
        arrived = [(header, value) for header, value in upstream.seen[-1] if header.replace("_", "-") in BELIEVED]
        assert sorted(arrived) == [("x-remote-groups", groups), ("x-remote-user", name)]
    before = len(upstream.seen)
    for broken in ("X-Remote-User : root", "X-A: b\r\n X-Remote-User: root", "X-A: \0"):
        assert ask(port, "GET", "/", f"Authorization: Basic {who}", broken) in (0, 200, 400)
    for headers in upstream.seen[before:]:
        assert [value for header, value in headers if header == "x-remote-user"] == [name]
