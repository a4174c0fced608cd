"""Who may do what: the realm, the strategy, sessions and crumbs."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from . import files, log
from .users import Users, hash_password

MAXIMUM_SESSIONS = 10_000


class BadCredentials(Exception):
    """The user's name as given."""


@dataclass(frozen=True)
class Caller:
    """Whoever sent a request."""

    name: str
    by_token: bool = False

    @property
    def anonymous(self) -> bool:
        return self.name == "anonymous"


ANONYMOUS = Caller("anonymous")
SYSTEM = Caller("SYSTEM")


@dataclass
class Policy:
    """What config.xml says about security; without a file Jenkins is open to everybody."""

    use_security: bool = False
    realm: bool = False
    allow_sign_up: bool = True
    logged_in_users_only: bool = False
    """The strategy: full control once logged in. Without it anybody may do anything."""
    anonymous_read: bool = True
    crumbs: bool = True


class Security:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.policy = Policy()
        self.users = Users(home)
        self.salt = files.secret(home, "hudson.security.csrf.DefaultCrumbIssuer.crumbSalt")
        self.cookie = f"JSESSIONID.{secrets.token_hex(4)}"
        self.sessions: dict[str, str] = {}
        self.lock = threading.Lock()

    # -- who --------------------------------------------------------------------------------------------------------

    def identify(self, authorization: str, session: str) -> Caller:
        """The caller by what the request carries; BadCredentials where what it carries is wrong."""
        kind, _, value = authorization.partition(" ")
        if kind.lower() == "basic":
            try:
                name, _, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                raise BadCredentials("") from None
            return self._basic(name, secret)
        with self.lock:
            return Caller(self.sessions.get(session, "")) if self.sessions.get(session) else ANONYMOUS

    def _basic(self, name: str, secret: str) -> Caller:
        user = self.users.get(name)
        if user and user.find_token(secret):
            return Caller(user.id, by_token=True)
        if user and self.policy.realm and user.has_password(secret):
            return Caller(user.id)
        log.info("o.j.i.BasicHeaderProcessor", f"Authentication of {urllib.parse.quote(name, safe='')} failed")
        raise BadCredentials(name)

    def login(self, name: str, password: str) -> str | None:
        """A session for the user, or None."""
        user = self.users.get(name)
        if not user or not self.policy.realm or not user.has_password(password):
            return None
        return self.new_session(user.id)

    def new_session(self, name: str = "") -> str:
        with self.lock:
            while len(self.sessions) >= MAXIMUM_SESSIONS:
                del self.sessions[next(iter(self.sessions))]
            identifier = f"node0{secrets.token_hex(16)}.node0"
            self.sessions[identifier] = name
            return identifier

    def known_session(self, session: str) -> bool:
        with self.lock:
            return session in self.sessions

    # -- what -------------------------------------------------------------------------------------------------------

    def may_read(self, caller: Caller) -> bool:
        return not caller.anonymous or not self.policy.logged_in_users_only or self.policy.anonymous_read

    def may_change(self, caller: Caller) -> bool:
        return not caller.anonymous or not self.policy.logged_in_users_only

    # -- crumbs -----------------------------------------------------------------------------------------------------

    def crumb(self, caller: Caller, session: str) -> str:
        return hashlib.sha256(f"{caller.name};{session}".encode() + self.salt).hexdigest()

    def crumb_fits(self, caller: Caller, session: str, crumb: str) -> bool:
        return self.known_session(session) and hmac.compare_digest(self.crumb(caller, session), crumb)

    # -- the first start --------------------------------------------------------------------------------------------

    def set_up_wizard(self) -> None:
        """What Jenkins does on its first start unless told not to: an administrator with a random password."""
        password = secrets.token_hex(16)
        user = self.users.get_or_create("admin")
        user.password = hash_password(password)
        self.users.save(user)
        files.write(self.home / "secrets" / "initialAdminPassword", password + "\n", 0o640)
        self.policy = Policy(use_security=True, realm=True, allow_sign_up=False, logged_in_users_only=True,
                             anonymous_read=False)
        # The real one also writes the password to its log; nothing here may do so.
        log.info("j.i.SetupWizard#init", "Jenkins initial setup is required. An admin user has been created and a "
                 f"password generated. This may also be found at: {self.home}/secrets/initialAdminPassword")
