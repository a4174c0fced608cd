"""Every value of a release, checked before anything is made. All faults are named at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from . import names
from .errors import InvalidInput, SlipwayError
from .ledger.book import check_keep
from .readiness import image
from .stack import template as templates
from .stack.parameters import check as check_parameter

T = TypeVar("T")

_APP_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")

#: Parameters of the service stack that a release gives itself.
GIVEN_BY_THE_RELEASE = ("AppName", "RepositoryUri", "RepositoryArn", "VpcId", "SubnetIds", "ImageTag",
                        "ImageDigest")

#: What CloudFormation cannot compare itself: (smaller, larger, whether equal will do, what they are).
_ORDER = (
    ("HealthCheckTimeoutSeconds", "HealthCheckIntervalSeconds", False, "a check must end before the next one starts"),
    ("DesiredCapacity", "MaxSize", True, "the group cannot keep more instances than it may have"),
)


def check(app_name: str, stack_name: str, repository: str, source: str, dockerfile: str, tag: str, template: str,
          parameters: dict[str, Any], builds: bool = True, promote: str = "", deploys: bool = True,
          keep: int = 100) -> None:
    """Raise InvalidInput that lists every fault, one a line; nothing is called or written.

    builds: whether an image may have to be built, so that its source must be there. promote: path of the release.json
    whose image is deployed instead, '' for none. deploys: false where an image that was deployed before comes back.
    keep: number of the ledger's records.
    """
    faults = [f"{error}" for error in (*_faults(app_name, stack_name, repository, source, dockerfile, tag, template,
                                                parameters, builds, promote, deploys), *_fault(check_keep, keep))]
    if len(faults) == 1:
        raise InvalidInput(faults[0])
    if faults:
        raise InvalidInput("\n".join([f"{len(faults)} values are at fault:", *(f"- {fault}" for fault in faults)]))


def check_account(wanted: str, found: str) -> None:
    """Raise InvalidInput when the credentials are of another account than the release is meant for; '' is any."""
    if wanted not in ("", found):
        raise InvalidInput(f"These credentials belong to account {found}, and the release is meant for {wanted}.",
                           "Use the role or profile of the right account, or correct ecs_release_account.")


def _faults(app_name: str, stack_name: str, repository: str, source: str, dockerfile: str, tag: str, template: str,
            parameters: dict[str, Any], builds: bool, promote: str, deploys: bool) -> Iterator[SlipwayError]:
    if not app_name:
        yield InvalidInput("ecs_release_app_name is not set.", "Set it in the inventory: the name of the application.")
    elif not _APP_NAME.fullmatch(app_name):
        yield InvalidInput(f"Application name {app_name[:80]!r} is refused.",
                           "It takes a letter, then letters, digits and hyphens, 64 characters at most.")
    else:
        yield from _fault(names.check_stack, stack_name)
    if not repository:
        yield InvalidInput("ecs_release_repository is not set.",
                           "Set it in the inventory: the name of the ECR repository.")
    else:
        yield from _fault(names.check_repository, repository)
    if tag:
        yield from _fault(names.check_tag, tag)
    if promote:
        yield from _fault(image.read, promote)
    elif builds:
        yield from _source(source, dockerfile)
    if deploys:
        yield from _template(template, parameters)


def _fault(rule: Callable[[T], object], value: T) -> Iterator[SlipwayError]:
    try:
        rule(value)
    except InvalidInput as error:
        yield error


def _source(source: str, dockerfile: str) -> Iterator[SlipwayError]:
    if not source:
        yield InvalidInput("ecs_release_source is not set.", "Set it in the inventory: the folder of the application.")
        return
    folder = Path(source)
    if not folder.is_dir():
        yield InvalidInput(f"The application's folder {source} is missing.", "Correct ecs_release_source.")
    elif not (folder / dockerfile).is_file():
        yield InvalidInput(f"{folder / dockerfile} is missing.", "Add a Dockerfile, or set ecs_release_dockerfile.")


def _template(path: str, parameters: dict[str, Any]) -> Iterator[SlipwayError]:
    try:
        template = templates.load_file(path)
    except SlipwayError as error:
        yield error
        return
    for name, value in parameters.items():
        if name in GIVEN_BY_THE_RELEASE:
            yield InvalidInput(f"Parameter {name} is set by the release itself.",
                               "Leave it out of ecs_release_service_parameters.")
        elif name not in template.parameters:
            yield InvalidInput(f"Parameter {name} is not in {Path(path).name}.",
                               f"It has {', '.join(sorted(template.parameters))}.")
        elif fault := check_parameter(template.parameters[name], templates.scalar(value)):
            yield InvalidInput(f"Parameter {fault}.")
    missing = [name for name, declaration in template.parameters.items()
               if declaration.default is None and name not in parameters and name not in GIVEN_BY_THE_RELEASE]
    if missing:
        yield InvalidInput(f"Parameters without a value: {', '.join(missing)}.",
                           "Set them in ecs_release_service_parameters.")
    values = {name: parameters.get(name, d.default) for name, d in template.parameters.items()}
    for small, large, equal, why in _ORDER:
        low, high = _number(values.get(small)), _number(values.get(large))
        if low is not None and high is not None and (low > high or (low == high and not equal)):
            relation = "at most" if equal else "below"
            yield InvalidInput(f"{small} ({low:g}) must be {relation} {large} ({high:g}): {why}.")
    fewest, most = _number(values.get("DesiredCount")), _number(values.get("MaxCount"))
    if fewest is not None and most and most < fewest:
        yield InvalidInput(f"MaxCount ({most:g}) must be 0 or at least DesiredCount ({fewest:g}).")


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
