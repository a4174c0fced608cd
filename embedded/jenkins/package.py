"""The package jenkins: the real one's paths, unit, user and scripts around the stand-in."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import archives
from .tools import run

HERE = Path(__file__).resolve().parent
CONTROLLER = HERE / "controller"
PACKAGING = HERE / "packaging"
START = b"import sys\n\nfrom controller.main import main\n\nsys.exit(main())\n"


def write_war(path: Path, version: str) -> None:
    """jenkins.war: a zip like the real one, whose manifest names the version; this one runs in Python."""
    files = {"META-INF/MANIFEST.MF": archives.manifest({
        "Manifest-Version": "1.0", "Implementation-Version": version, "Jenkins-Version": version,
        "Hudson-Version": "1.395", "Main-Class": "executable.Main"}), "__main__.py": START}
    for source in sorted(CONTROLLER.rglob("*.py")):
        files[str(source.relative_to(HERE))] = source.read_bytes()
    archives.write(path, files)


def build(directory: Path, version: str, work: Path) -> Path:
    """jenkins_<version>_all.deb in the directory."""
    tree = work / f"jenkins_{version}"
    for folder in ("usr/share/java", "usr/bin", "usr/lib/systemd/system", "etc/default", "var/lib/jenkins",
                   "var/cache/jenkins", "var/log/jenkins", "usr/share/doc/jenkins", "DEBIAN"):
        (tree / folder).mkdir(parents=True)
    write_war(tree / "usr/share/java/jenkins.war", version)
    _copy(PACKAGING / "jenkins", tree / "usr/bin/jenkins", 0o755)
    _copy(PACKAGING / "jenkins.service", tree / "usr/lib/systemd/system/jenkins.service")
    _copy(PACKAGING / "default", tree / "etc/default/jenkins")
    _copy(PACKAGING / "copyright", tree / "usr/share/doc/jenkins/copyright")
    for script in ("postinst", "prerm", "postrm"):
        _copy(PACKAGING / script, tree / "DEBIAN" / script, 0o755)
    (tree / "DEBIAN/conffiles").write_text("/etc/default/jenkins\n")
    size = sum(file.stat().st_size for file in tree.rglob("*") if file.is_file()) // 1024 + 1
    (tree / "DEBIAN/control").write_text(control(version, size))
    for path in (tree, *tree.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    deb = directory / f"jenkins_{version}_all.deb"
    run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z6", "--build", tree, deb])
    shutil.rmtree(tree)
    return deb


def control(version: str, size: int) -> str:
    return (PACKAGING / "control").read_text().replace("@VERSION@", version).replace("@SIZE@", str(size))


def _copy(source: Path, target: Path, mode: int = 0o644) -> None:
    target.write_bytes(source.read_bytes())
    target.chmod(mode)
