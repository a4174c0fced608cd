"""Files that look like secrets and have no business in an image."""

from __future__ import annotations

import fnmatch
import re

_NAMES = (
    ".env", ".env.*", ".netrc", ".npmrc", ".pypirc", ".git-credentials", ".htpasswd", ".pgpass", ".my.cnf",
    ".vault_pass*", ".vault-pass*", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*.key", "*.pfx", "*.p12", "*.kdbx",
    "*.tfstate", "credentials", "credentials.*", "kubeconfig", "secrets.yml", "secrets.yaml", "secrets.json",
)
_HARMLESS = ("*.example", "*.sample", "*.template", "*.dist", "*.py", "*.php", "*.js", "*.ts", "*.rb", "*.go", "*.java",
             "*.html", "*.css", "*.md")
_CANDIDATE = re.compile("|".join(fnmatch.translate(name) for name in _NAMES))
_EXCUSED = re.compile("|".join(fnmatch.translate(name) for name in _HARMLESS))


def looks_secret(path: str) -> bool:
    """Whether the name at the end of `path` is one that holds secrets by convention (.env, id_rsa, credentials ...)."""
    name = path.rpartition("/")[2].lower()
    if name == "config.json" and path.endswith(".docker/config.json"):
        return True
    return bool(_CANDIDATE.fullmatch(name)) and not _EXCUSED.fullmatch(name)


def warning(paths: list[str]) -> str:
    """One sentence that names the files, the first few of many."""
    shown = ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
    verb = "looks like a secret and is" if len(paths) == 1 else "look like secrets and are"
    return f"{shown} {verb} in the build context. Exclude it in .dockerignore, or pass it by build_secrets."
