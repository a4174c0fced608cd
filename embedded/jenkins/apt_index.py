"""The index of a signed apt repository in the flat layout of pkg.jenkins.io."""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import shutil
import tempfile
from pathlib import Path

from .tools import run

FINGERPRINT = "fingerprint"
SIGNER = "Jenkins Project (stand-in for tests) <stand-in@jenkins.invalid>"


def packages_index(debs: list[Path], folder: str) -> str:
    """The file Packages: each package's control fields, and where and what it is."""
    stanzas = []
    for deb in debs:
        data = deb.read_bytes()
        fields = run(["dpkg-deb", "--field", deb]).rstrip("\n")
        stanzas.append(f"{fields}\nFilename: {folder}/{deb.name}\nSize: {len(data)}\n"
                       f"MD5sum: {hashlib.md5(data, usedforsecurity=False).hexdigest()}\n"
                       f"SHA256: {hashlib.sha256(data).hexdigest()}\n")
    return "\n".join(stanzas)


def release(directory: Path, names: list[str]) -> str:
    lines = ["Origin: jenkins.io", "Label: jenkins.io", "Suite: binary", "Codename: binary", "Architectures: all",
             "Components:", "Description: Debian-stable repository of Jenkins, stand-in for tests",
             f"Date: {email.utils.formatdate(usegmt=True).replace('GMT', 'UTC')}"]
    for title, algorithm in (("MD5Sum", "md5"), ("SHA256", "sha256")):
        lines.append(f"{title}:")
        for name in names:
            data = (directory / name).read_bytes()
            lines.append(f" {hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()} {len(data)} {name}")
    return "\n".join(lines) + "\n"


def write(repository: Path, folder: str, key_file: str, secret_key: Path) -> None:
    """Index, Release, its two signatures, the public key and, for who has to name it, the key's fingerprint.

    The key is made once and kept in secret_key, so that a host which trusts it can still read a later build.
    """
    directory = repository / folder
    index = packages_index(sorted(directory.glob("*.deb")), folder)
    (directory / "Packages").write_text(index)
    (directory / "Packages.gz").write_bytes(gzip.compress(index.encode(), mtime=0))
    (directory / "Release").write_text(release(directory, ["Packages", "Packages.gz"]))
    # A short path: gpg's agent listens on a socket in it.
    home = Path(tempfile.mkdtemp(prefix="slipway-gpg-"))
    try:
        gpg = ["gpg", "--homedir", str(home), "--batch", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", ""]
        if secret_key.exists():
            run([*gpg, "--import", secret_key])
        else:
            run([*gpg, "--quick-generate-key", SIGNER, "rsa3072", "sign", "never"])
            fresh = secret_key.with_name(f"{secret_key.name}.new")
            fresh.touch(0o600)
            fresh.write_text(run([*gpg, "--armor", "--export-secret-keys"]))
            fresh.replace(secret_key)
        (repository / key_file).write_text(run([*gpg, "--armor", "--export"]))
        said = run([*gpg, "--with-colons", "--fingerprint"]).splitlines()
        (repository / FINGERPRINT).write_text(next(line.split(":")[9] for line in said if line.startswith("fpr:")))
        run([*gpg, "--output", directory / "Release.gpg", "--armor", "--detach-sign", directory / "Release"])
        run([*gpg, "--output", directory / "InRelease", "--clear-sign", directory / "Release"])
    finally:
        if shutil.which("gpgconf"):
            run(["gpgconf", "--homedir", home, "--kill", "all"])
        shutil.rmtree(home, ignore_errors=True)
