"""JENKINS_HOME/config.xml and the location's file: what an administrator sets, kept over restarts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import files
from .security import Policy

FULL_CONTROL = "hudson.security.FullControlOnceLoggedInAuthorizationStrategy"
UNSECURED = "hudson.security.AuthorizationStrategy$Unsecured"
REALM = "hudson.security.HudsonPrivateSecurityRealm"
CRUMBS = "hudson.security.csrf.DefaultCrumbIssuer"
LOCATION = "jenkins.model.JenkinsLocationConfiguration"


@dataclass
class Configuration:
    executors: int = 2
    agent_port: int = 0
    url: str = ""
    """Empty until somebody sets it: then builds have no BUILD_URL."""


def load(home: Path, policy: Policy) -> Configuration | None:
    """What the files say, the policy filled in; None where Jenkins never ran on this home."""
    root = files.read_xml(home / "config.xml")
    location = files.read_xml(home / f"{LOCATION}.xml")
    if root is None:
        return None
    policy.use_security = root.findtext("useSecurity") == "true"
    strategy, realm = root.find("authorizationStrategy"), root.find("securityRealm")
    policy.logged_in_users_only = strategy is not None and strategy.get("class") == FULL_CONTROL
    policy.anonymous_read = strategy is None or strategy.findtext("denyAnonymousReadAccess") != "true"
    policy.realm = realm is not None and realm.get("class") == REALM
    policy.allow_sign_up = realm is None or realm.findtext("disableSignup") != "true"
    policy.crumbs = root.find("crumbIssuer") is not None
    return Configuration(int(root.findtext("numExecutors") or 2), int(root.findtext("slaveAgentPort") or 0),
                         (location.findtext("jenkinsUrl") or "") if location is not None else "")


def save(home: Path, version: str, policy: Policy, configuration: Configuration) -> None:
    node = files.node
    strategy = (node("authorizationStrategy", node("denyAnonymousReadAccess", not policy.anonymous_read),
                     class_=FULL_CONTROL)
                if policy.logged_in_users_only else node("authorizationStrategy", class_=UNSECURED))
    realm = (node("securityRealm", node("disableSignup", not policy.allow_sign_up), node("enableCaptcha", False),
                  class_=REALM)
             if policy.realm else node("securityRealm", class_="hudson.security.SecurityRealm$None"))
    crumbs = [node("crumbIssuer", node("excludeClientIPFromCrumb", False), class_=CRUMBS)] if policy.crumbs else []
    files.write(home / "config.xml", files.xml(node(
        "hudson", node("disabledAdministrativeMonitors"), node("version", version),
        node("numExecutors", configuration.executors), node("mode", "NORMAL"), node("useSecurity", policy.use_security),
        strategy, realm, node("disableRememberMe", False), node("slaveAgentPort", configuration.agent_port), *crumbs,
        node("label"), node("nodeProperties"), node("globalNodeProperties"))))


def save_location(home: Path, url: str) -> None:
    files.write(home / f"{LOCATION}.xml", files.xml(files.node(LOCATION, files.node("jenkinsUrl", url))))
