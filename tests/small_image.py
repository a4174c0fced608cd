"""A base image of a few megabytes, made of this machine's own programs: no registry is asked for it."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

#: A web server in Perl, which every Debian has: /page with status `code` on `port`, until SIGTERM.
SERVER = """
use IO::Socket;
$SIG{{TERM}} = sub {{ exit 0 }};
open(my $file, '<', '/page') or die 'cannot open /page';
local $/; my $page = <$file>; $/ = "\\n";
my $s = IO::Socket::INET->new(LocalPort => {port}, Listen => 99, ReuseAddr => 1) or die $!;
while (1) {{
    my $c = $s->accept or next;
    while (my $line = <$c>) {{ last if $line =~ /^\\r?$/ }}
    my $length = length($page);
    print $c "HTTP/1.0 {code} x\\r\\nContent-Type: text/plain\\r\\nContent-Length: $length\\r\\n\\r\\n$page";
    close $c;
}}
"""


@contextmanager
def small_image(name: str) -> Iterator[str]:
    """The image `name` (repository:tag) with sh, sleep and perl; it and its containers are gone afterwards."""
    import docker

    engine = docker.from_env()
    engine.api.import_image_from_data(_programs("/bin/sh", "/bin/sleep", "/usr/bin/perl"), *name.split(":"))
    made = engine.images.get(name).id
    yield name
    # A task that ended may still hold the image, which would then stay behind without a name.
    for container in engine.containers.list(all=True, filters={"ancestor": made}):
        with suppress(docker.errors.NotFound):  # the AWS behind may be removing it, too
            container.remove(force=True)
    for child in _built_on(engine, made):
        engine.images.remove(child, force=True)
    engine.images.remove(made, force=True)


def _built_on(engine: Any, image: str) -> Iterator[str]:
    """The images that stand in the way of its removal: those of the engine's own builder, which keeps each step."""
    parents = {one["Id"]: one["ParentId"] for one in engine.api.images(all=True)}
    for one in engine.api.images():
        parent = one["ParentId"]
        while parent and parent != image:
            parent = parents.get(parent)
        if parent:
            yield one["Id"]


def _programs(*programs: str) -> bytes:
    """A tar of them with the libraries they are linked to, and of a file that no processor runs: /bin/foreign."""
    paths = set(programs)
    for program in programs:
        paths |= set(re.findall(r"(/\S+)", subprocess.run(["ldd", program], capture_output=True, text=True).stdout))
    # The modules of perl-base, an essential package: sockets are among them.
    inc = subprocess.run(["perl", "-e", "print join qq(\n), @INC"], capture_output=True, text=True, check=True).stdout
    paths |= {path for path in inc.split("\n") if path.endswith("/perl-base")}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", dereference=True) as tar:
        for path in sorted(path for path in paths if Path(path).exists()):
            tar.add(path)
        foreign = tarfile.TarInfo("/bin/foreign")
        foreign.mode, foreign.size = 0o755, 4
        tar.addfile(foreign, io.BytesIO(b"\x7fELF"))
    return buffer.getvalue()
