"""The repositories of one embedded AWS: each a folder with its record and its bare git repository.

STATE/codecommit/ACCOUNT/REGION/ID/{repository.json,git/,received/}: the folder's name never comes from a person, and a
rename changes the record alone.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .. import settings
from . import git, spool
from .errors import ServiceError

ROOT = settings.STATE / "codecommit"
_RECORD = "repository.json"
#: AWS' limit for one account and region.
LIMIT = 5000


@dataclass
class Repository:
    """Times are seconds since 1970."""

    id: str
    name: str
    account: str
    region: str
    description: str | None = None
    created: float = 0.0
    modified: float = 0.0
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:aws:codecommit:{self.region}:{self.account}:{self.name}"

    @property
    def folder(self) -> Path:
        return ROOT / self.account / self.region / self.id

    @property
    def git_dir(self) -> Path:
        return self.folder / "git"

    @property
    def received(self) -> Path:
        return self.folder / "received"


class Records:
    """Every repository, read from disk once and then kept in step with it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._known: dict[tuple[str, str, str], Repository] | None = None

    def all(self) -> list[Repository]:
        with self._lock:
            return list(self._index().values())

    def find(self, account: str, region: str, name: str) -> Repository | None:
        with self._lock:
            return self._index().get((account, region, name))

    def create(self, account: str, region: str, name: str, description: str | None, tags: dict[str, str]) -> Repository:
        """Raises ServiceError where the name is taken or the account full."""
        with self._lock:
            index = self._index()
            if (account, region, name) in index:
                raise _taken(name)
            if sum(1 for key in index if key[:2] == (account, region)) >= LIMIT:
                raise ServiceError("RepositoryLimitExceededException", f"The limit of {LIMIT} repositories is reached.")
            now = time.time()
            made = Repository(str(uuid.uuid4()), name, account, region, description, now, now, tags)
            # A kill in the middle must not leave half a repository under its name.
            part = made.folder.with_name(f".{made.id}.part")
            part.mkdir(parents=True)
            _initialise(part)
            _write(part, made)
            part.rename(made.folder)
            index[account, region, name] = made
            return made

    def rename(self, repository: Repository, name: str) -> None:
        with self._lock:
            index = self._index()
            if name == repository.name:
                return
            if (repository.account, repository.region, name) in index:
                raise _taken(name)
            del index[repository.account, repository.region, repository.name]
            repository.name = name
            index[repository.account, repository.region, name] = repository
            self.changed(repository)

    def changed(self, repository: Repository) -> None:
        """Keep what was changed in the record."""
        with self._lock:
            if repository.folder.is_dir():
                repository.modified = time.time()
                _write(repository.folder, repository)

    def delete(self, repository: Repository) -> None:
        with self._lock:
            self._index().pop((repository.account, repository.region, repository.name), None)
            gone = repository.folder.with_name(f".{repository.id}.gone")
            repository.folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def clear(self) -> None:
        with self._lock:
            self._known = {}
            shutil.rmtree(ROOT, ignore_errors=True)

    def _index(self) -> dict[tuple[str, str, str], Repository]:
        if self._known is None:
            for left in ROOT.glob("*/*/.*"):  # what a kill left behind
                shutil.rmtree(left, ignore_errors=True)
            found = [Repository(**json.loads(file.read_text())) for file in sorted(ROOT.glob(f"*/*/*/{_RECORD}"))]
            self._known = {(item.account, item.region, item.name): item for item in found}
        return self._known


records = Records()


def _taken(name: str) -> ServiceError:
    return ServiceError("RepositoryNameExistsException", f"A repository named {name} exists already.")


def _initialise(folder: Path) -> None:
    git_dir = folder / "git"
    git.run(git_dir, "init", "--quiet", "--bare", "--template=", "--initial-branch=main")
    (git_dir / "info").mkdir(exist_ok=True)
    # An artifact holds what the tree holds; these attributes would leave files out of it, or change them.
    (git_dir / "info" / "attributes").write_text("* -export-ignore -export-subst\n")
    spool.install(git_dir, folder / "received")


def _write(folder: Path, repository: Repository) -> None:
    part = folder / f".{_RECORD}.part"
    part.write_text(json.dumps(asdict(repository), indent=1))
    part.replace(folder / _RECORD)
