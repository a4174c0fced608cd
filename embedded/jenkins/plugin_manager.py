"""jenkins-plugin-manager-<version>.jar: the tool's own behaviour, compiled from the sources in plugin_manager/."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from . import archives
from .catalog import PLUGIN_MANAGER_VERSION
from .tools import Say, ensure, run

SOURCES = Path(__file__).resolve().parent / "plugin_manager"
JAR = f"jenkins-plugin-manager-{PLUGIN_MANAGER_VERSION}.jar"
#: Beside it, as beside the real one.
CHECKSUM = f"{JAR}.sha256"
MAIN = "io.jenkins.tools.pluginmanager.cli.Main"
# Runs on every Java that a Jenkins of the catalog runs on.
JAVA = "17"


def build(path: Path, say: Say) -> None:
    sources = sorted(SOURCES.rglob("*.java"))
    with tempfile.TemporaryDirectory() as folder:
        run([*_compiler(say), "-d", folder, *sources])
        files = {"META-INF/MANIFEST.MF": archives.manifest({
            "Manifest-Version": "1.0", "Main-Class": MAIN, "Implementation-Version": PLUGIN_MANAGER_VERSION})}
        for compiled in sorted(Path(folder).rglob("*.class")):
            files[str(compiled.relative_to(folder))] = compiled.read_bytes()
    archives.write(path, files)
    path.with_name(CHECKSUM).write_text(hashlib.sha256(path.read_bytes()).hexdigest())


def _compiler(say: Say) -> list[str]:
    if not shutil.which("javac"):
        # Half the size of a JDK: Eclipse's compiler, and the runtime that the tests of the tool need anyway.
        ensure("ecj", ["ecj", "default-jre-headless"], say)
    # Debian's ecj calls itself javac too, and has neither an annotation processor nor the index that --release needs.
    return [shutil.which("javac") or "ecj", "-nowarn", "-proc:none", "-source", JAVA, "-target", JAVA]
