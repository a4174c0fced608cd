"""init.groovy.d: the part of Jenkins' Java API that the scripts there reach, on top of the stand-in's own state."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import configuration, groovy, log
from .groovy import JavaClass, JavaObject, Thrown
from .users import Token, User, hash_password

if TYPE_CHECKING:
    from .controller import Controller


def methods(names: str) -> frozenset[str]:
    return frozenset(names.split())


class Strategy(JavaObject):
    METHODS = methods("setAllowAnonymousRead")

    def __init__(self) -> None:
        self.anonymous_read = True

    def setAllowAnonymousRead(self, allowed: bool) -> None:
        self.anonymous_read = bool(allowed)


class StrategyClass(JavaClass):
    def make(self) -> Strategy:
        return Strategy()


class Realm(JavaObject):
    METHODS = methods("createAccount")

    def __init__(self, controller: Controller, allow_sign_up: bool) -> None:
        self.controller, self.allow_sign_up = controller, allow_sign_up

    def createAccount(self, name: str, password: str) -> JavaUser:
        user = self.controller.security.users.get_or_create(name)
        user.password = hash_password(password)
        self.controller.security.users.save(user)
        return JavaUser(self.controller, user)


class RealmClass(JavaClass):
    METHODS = methods("Details")

    def __init__(self, controller: Controller) -> None:
        self.controller = controller

    def make(self, allow_sign_up: bool, captcha: bool = False, support: None = None) -> Realm:
        if captcha:
            raise groovy.NotUnderstood("a realm with captcha")
        return Realm(self.controller, allow_sign_up)

    def Details(self) -> str:
        return "details"


class Crumbs(JavaObject):
    pass


class CrumbsClass(JavaClass):
    def make(self, exclude_client_ip: bool) -> Crumbs:
        return Crumbs()


class Details(JavaObject):
    METHODS = methods("isPasswordCorrect")

    def __init__(self, user: User) -> None:
        self.user = user

    def isPasswordCorrect(self, plain: str) -> bool:
        return self.user.has_password(plain)


class JavaToken(JavaObject):
    METHODS = methods("getName getUuid")

    def __init__(self, token: Token) -> None:
        self.token = token

    def getName(self) -> str:
        return self.token.name

    def getUuid(self) -> str:
        return self.token.id


class Tokens(JavaObject):
    """ApiTokenProperty and its store in one: the names do not overlap."""

    METHODS = methods("getTokenStore getTokenListSortedByName findMatchingToken revokeToken addFixedNewToken")

    def __init__(self, controller: Controller, user: User) -> None:
        self.controller, self.user = controller, user

    def getTokenStore(self) -> Tokens:
        return self

    def getTokenListSortedByName(self) -> list[JavaToken]:
        return [JavaToken(token) for token in sorted(self.user.tokens, key=lambda token: token.name.lower())]

    def findMatchingToken(self, plain: str) -> JavaToken | None:
        token = self.user.find_token(plain)
        return JavaToken(token) if token else None

    def revokeToken(self, identifier: str) -> JavaToken | None:
        found = next((token for token in self.user.tokens if token.id == identifier), None)
        if found is None:
            return None
        self.user.tokens.remove(found)
        self.controller.security.users.save(self.user)
        return JavaToken(found)

    def addFixedNewToken(self, name: str, plain: str) -> JavaToken:
        try:
            token = self.user.add_token(name, plain)
        except ValueError as error:
            raise Thrown("java.lang.IllegalArgumentException", str(error)) from error
        self.controller.security.users.save(self.user)
        return JavaToken(token)


class JavaUser(JavaObject):
    METHODS = methods("getId getProperty save")

    def __init__(self, controller: Controller, user: User) -> None:
        self.controller, self.user = controller, user

    def getId(self) -> str:
        return self.user.id

    def getProperty(self, kind: Any) -> JavaObject | None:
        if kind == "details":
            return Details(self.user) if self.user.password else None
        if isinstance(kind, TokenPropertyClass):
            return Tokens(self.controller, self.user)
        raise groovy.NotUnderstood(f"a user's property {kind}")

    def save(self) -> None:
        self.controller.security.users.save(self.user)


class UserClass(JavaClass):
    METHODS = methods("getById")

    def __init__(self, controller: Controller) -> None:
        self.controller = controller

    def getById(self, name: str | None, create: bool) -> JavaUser | None:
        users = self.controller.security.users
        if name is None:
            raise Thrown("java.lang.NullPointerException")
        user = users.get_or_create(name) if create else users.get(name)
        return JavaUser(self.controller, user) if user else None


class TokenPropertyClass(JavaClass):
    pass


class JavaJenkins(JavaObject):
    METHODS = methods("setAuthorizationStrategy setSecurityRealm setCrumbIssuer setSlaveAgentPort setNumExecutors save "
                      "getNumExecutors getSlaveAgentPort")

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.policy = controller.security.policy

    def setAuthorizationStrategy(self, strategy: Strategy) -> None:
        self.policy.use_security = True
        self.policy.logged_in_users_only = True
        self.policy.anonymous_read = strategy.anonymous_read

    def setSecurityRealm(self, realm: Realm) -> None:
        self.policy.use_security = True
        self.policy.realm, self.policy.allow_sign_up = True, realm.allow_sign_up

    def setCrumbIssuer(self, crumbs: Crumbs | None) -> None:
        self.policy.crumbs = crumbs is not None

    def setSlaveAgentPort(self, port: int) -> None:
        self.controller.configuration.agent_port = port

    def getSlaveAgentPort(self) -> int:
        return self.controller.configuration.agent_port

    def setNumExecutors(self, number: int) -> None:
        if number < 0:
            raise Thrown("java.lang.IllegalArgumentException")
        self.controller.configuration.executors = number

    def getNumExecutors(self) -> int:
        return self.controller.configuration.executors

    def save(self) -> None:
        self.controller.save()


class JenkinsClass(JavaClass):
    METHODS = methods("get getInstance")

    def __init__(self, controller: Controller) -> None:
        self.jenkins = JavaJenkins(controller)

    def get(self) -> JavaJenkins:
        return self.jenkins

    def getInstance(self) -> JavaJenkins:
        return self.jenkins


class Location(JavaObject):
    METHODS = methods("setUrl getUrl save")

    def __init__(self, controller: Controller) -> None:
        self.controller = controller

    def setUrl(self, url: str | None) -> None:
        self.controller.configuration.url = f"{url.rstrip('/')}/" if url else ""
        self.save()

    def getUrl(self) -> str | None:
        return self.controller.configuration.url or None

    def save(self) -> None:
        configuration.save_location(self.controller.settings.home, self.controller.configuration.url)


class LocationClass(JavaClass):
    METHODS = methods("get")

    def __init__(self, controller: Controller) -> None:
        self.location = Location(controller)

    def get(self) -> Location:
        return self.location


class JavaFile(JavaObject):
    METHODS = methods("getText exists")

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        return self.path.exists()

    def getText(self, encoding: str = "UTF-8") -> str:
        try:
            return self.path.read_text(encoding=encoding)
        except OSError as error:
            raise Thrown("java.io.FileNotFoundException", f"{self.path} ({error.strerror})") from error


class FileClass(JavaClass):
    def make(self, parent: str | None, child: str | None = None) -> JavaFile:
        if child is None:
            if parent is None:
                raise Thrown("java.lang.NullPointerException")
            return JavaFile(Path(parent))
        # With no parent the path counts from the working directory, as in Java.
        return JavaFile(Path(parent, child) if parent else Path(child))


class Stream(JavaObject):
    METHODS = methods("println")

    def println(self, value: Any = "") -> None:
        print(groovy.text(value), file=sys.stderr, flush=True)


class SystemClass(JavaClass):
    METHODS = methods("getenv err out")

    def getenv(self, name: str) -> str | None:
        return os.environ.get(name)

    def err(self) -> Stream:
        return Stream()

    def out(self) -> Stream:
        return Stream()


class Runtime(JavaObject):
    METHODS = methods("halt")

    def halt(self, code: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class RuntimeClass(JavaClass):
    METHODS = methods("getRuntime")

    def getRuntime(self) -> Runtime:
        return Runtime()


def run_all(controller: Controller) -> None:
    """Run every script in the order of its name. As in Jenkins, one that fails is logged and the start goes on."""
    directory = controller.settings.home / "init.groovy.d"
    for path in sorted(directory.glob("*.groovy")) if directory.is_dir() else []:
        log.info("j.util.groovy.GroovyHookScript#execute", f"Executing {path}")
        classes = {
            "hudson.model.User": UserClass(controller),
            "hudson.security.FullControlOnceLoggedInAuthorizationStrategy": StrategyClass(),
            "hudson.security.HudsonPrivateSecurityRealm": RealmClass(controller),
            "hudson.security.csrf.DefaultCrumbIssuer": CrumbsClass(),
            "jenkins.model.Jenkins": JenkinsClass(controller),
            "jenkins.model.JenkinsLocationConfiguration": LocationClass(controller),
            "jenkins.security.ApiTokenProperty": TokenPropertyClass(),
        }
        always = {"System": SystemClass(), "File": FileClass(), "Runtime": RuntimeClass()}
        try:
            groovy.Run(classes, always).script(path.read_text(encoding="utf-8"))
        except (Thrown, OSError) as problem:
            log.warning("j.util.groovy.GroovyHookScript#execute", f"Failed to run script {path.as_uri()}\n{problem}")
        except groovy.NotUnderstood as problem:
            raise groovy.NotUnderstood(f"{path}: the stand-in Jenkins does not know this Groovy: {problem}") \
                from problem
