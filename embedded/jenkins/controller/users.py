"""Users, their passwords and API tokens, kept as Jenkins keeps them: hashes in users/<directory>/config.xml."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from . import files

HASHED_TOKEN = "jenkins.security.apitoken.ApiTokenStore_-HashedToken"
DETAILS = "hudson.security.HudsonPrivateSecurityRealm_-Details"
ITERATIONS = 210_000
TOKEN = re.compile(r"11[0-9a-f]{32}")


@dataclass
class Token:
    id: str
    name: str
    hash: str
    created: str


@dataclass
class User:
    id: str
    directory: str
    password: str = ""
    """Hash, as Jenkins writes it: #pbkdf2:$HMACSHA512:<iterations>:<salt>$<hash>."""
    tokens: list[Token] = field(default_factory=list)

    def has_password(self, plain: str) -> bool:
        found = re.fullmatch(r"#pbkdf2:\$HMACSHA512:(\d+):([0-9a-f]+)\$([0-9a-f]+)", self.password)
        return bool(found) and hmac.compare_digest(
            _derive(plain, bytes.fromhex(found[2]), int(found[1])), found[3])  # type: ignore[index]

    def find_token(self, plain: str) -> Token | None:
        digest = token_hash(plain)
        return next((token for token in self.tokens if hmac.compare_digest(token.hash, digest)), None)

    def add_token(self, name: str, plain: str) -> Token:
        if not TOKEN.fullmatch(plain):
            raise ValueError("The token must consist of 2 characters for the version and 32 hex-characters for "
                             "the secret")
        stamp = time.strftime("%Y-%m-%d %H:%M:%S.000 UTC", time.gmtime())
        token = Token(str(uuid.uuid4()), name, token_hash(plain), stamp)
        self.tokens.append(token)
        return token


def hash_password(plain: str) -> str:
    salt = secrets.token_bytes(16)
    return f"#pbkdf2:$HMACSHA512:{ITERATIONS}:{salt.hex()}${_derive(plain, salt, ITERATIONS)}"


def _derive(plain: str, salt: bytes, iterations: int) -> str:
    return hashlib.pbkdf2_hmac("sha512", plain.encode(), salt, iterations).hex()


def token_hash(plain: str) -> str:
    """Of the part after the version."""
    return hashlib.sha256(plain[2:].encode()).hexdigest()


class Users:
    def __init__(self, home: Path) -> None:
        self.root = home / "users"
        self.lock = threading.RLock()
        self.users: dict[str, User] = {}
        if self.root.is_dir():
            for path in sorted(self.root.glob("*/config.xml")):
                user = _read(path)
                self.users[user.id.lower()] = user

    def get(self, name: str) -> User | None:
        with self.lock:
            return self.users.get(name.lower())

    def get_or_create(self, name: str) -> User:
        with self.lock:
            user = self.users.get(name.lower())
            if user is None:
                plain = re.sub(r"[^A-Za-z0-9]", "", name)
                user = self.users[name.lower()] = User(name, f"{plain}_{secrets.randbits(63)}")
            return user

    def save(self, user: User) -> None:
        with self.lock:
            files.write(self.root / user.directory / "config.xml", files.xml(_element(user)), 0o600)
            names = [files.node("entry", files.node("string", one.id), files.node("string", one.directory))
                     for one in self.users.values()]
            files.write(self.root / "users.xml", files.xml(files.node(
                "hudson.model.UserIdMapper", files.node("version", 1),
                files.node("idToDirectoryNameMap", *names, class_="concurrent-hash-map"))))


def _element(user: User) -> Element:
    node = files.node
    tokens = [node(HASHED_TOKEN, node("uuid", token.id), node("name", token.name), node("creationDate", token.created),
                   node("value", node("version", 11), node("hash", token.hash))) for token in user.tokens]
    properties = [node("jenkins.security.ApiTokenProperty", node("tokenStore", node("tokenList", *tokens)))]
    if user.password:
        properties.append(node(DETAILS, node("passwordHash", user.password)))
    return node("user", node("version", 10), node("id", user.id), node("fullName", user.id),
                node("properties", *properties))


def _read(path: Path) -> User:
    root = files.read_xml(path)
    assert root is not None
    tokens = [Token(item.findtext("uuid", ""), item.findtext("name", ""), item.findtext("value/hash", ""),
                    item.findtext("creationDate", ""))
              for item in root.iter(HASHED_TOKEN)]
    return User(root.findtext("id", ""), path.parent.name,
                root.findtext(f"properties/{DETAILS}/passwordHash", ""), tokens)
