"""A CloudFormation template: loaded, and asked what a plan has to know of it. No calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InvalidInput

#: Bytes that CloudFormation takes inline, and through S3 (AWS: CloudFormation quotas).
INLINE_LIMIT = 51_200
URL_LIMIT = 1_048_576

_SSM_TYPE = "AWS::SSM::Parameter::"
#: What of IAM has to be acknowledged (AWS: CreateChangeSet, Capabilities); an OIDC provider, for one, has not.
_ACKNOWLEDGED = frozenset(f"AWS::IAM::{kind}" for kind in (
    "AccessKey", "Group", "InstanceProfile", "ManagedPolicy", "Policy", "Role", "User", "UserToGroupAddition"))
_STACKS = frozenset({"AWS::CloudFormation::Stack", "AWS::Serverless::Application"})
_NAMES = {
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
}


@dataclass(frozen=True)
class Declaration:
    """A parameter as the template declares it. `default` is None where there is none (null is no default)."""

    name: str
    type: str = "String"
    default: str | None = None
    no_echo: bool = False
    allowed_values: tuple[str, ...] = ()
    allowed_pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_value: float | None = None
    max_value: float | None = None
    description: str | None = None

    @property
    def from_ssm(self) -> bool:
        """Whether the value is the path of an SSM parameter, and not what the template works with."""
        return self.type.startswith(_SSM_TYPE)


@dataclass
class Template:
    """A template; `body` is its text, None where only its summary is known (template_url), or where it is `unread`:
    the stack's own, of which only the parameters are known."""

    source: str
    body: str | None
    document: dict[str, Any]
    parameters: dict[str, Declaration] = field(default_factory=dict)
    summary_capabilities: dict[str, list[str]] | None = None
    summary_types: frozenset[str] = frozenset()
    unread: bool = False

    @property
    def size(self) -> int:
        """Bytes of the body, as CloudFormation counts them."""
        return len((self.body or "").encode())

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        found = self.document.get("Resources")
        return {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}

    @property
    def outputs(self) -> list[str]:
        found = self.document.get("Outputs")
        return list(found) if isinstance(found, dict) else []

    @property
    def nested(self) -> bool:
        """Whether it makes stacks of its own."""
        return not _STACKS.isdisjoint(self.summary_types | _types(self.document.get("Resources")))

    @property
    def capabilities(self) -> dict[str, list[str]]:
        """Capability -> what of the template needs it. Change sets need none for macros (AWS: CreateChangeSet)."""
        if self.summary_capabilities is not None:
            return self.summary_capabilities
        plain: list[str] = []
        named: list[str] = []
        for logical, resource in self.resources.items():
            kind = str(resource.get("Type", ""))
            if kind not in _ACKNOWLEDGED:
                continue
            properties = resource.get("Properties")
            own_name = isinstance(properties, dict) and _NAMES.get(kind, "") in properties
            (named if own_name else plain).append(f"{logical} ({kind})")
        if named:
            return {"CAPABILITY_NAMED_IAM": named}
        return {"CAPABILITY_IAM": plain} if plain else {}

    @property
    def hidden_inputs(self) -> str:
        """Why the same template and parameters may still mean a change; '' where they cannot.

        SSM-typed parameters are not among these: their values can be compared.
        """
        if self.body is None:
            return "the template was not read" if self.unread else "the template lies in S3"
        if "Transform" in self.document or '"Fn::Transform"' in self._text:
            return "the template uses a macro"
        if self.nested:
            return "nested stacks have templates of their own"
        if "{{resolve:" in self._text:
            return "the template uses dynamic references"
        return ""

    @property
    def _text(self) -> str:
        return json.dumps(self.document, default=str)


def load_file(path: str) -> Template:
    """The template in the file `path`. Raises InvalidInput with the line where it cannot be read."""
    try:
        body = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"Template {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"Template {path} is not UTF-8 text (byte {error.start}).") from error
    return load(body, path)


def load(body: str, source: str) -> Template:
    """The template of the text `body` (JSON or YAML with short intrinsics); `source` names it in errors."""
    document = parse(body, source)
    if not isinstance(document, dict):
        raise InvalidInput(f"Template {source} is not a mapping.", "A template has at least the section Resources.")
    if not isinstance(document.get("Resources"), dict) or not document["Resources"]:
        raise InvalidInput(f"Template {source} has no Resources.", "A template declares at least one resource.")
    for logical, resource in document["Resources"].items():
        if str(logical).startswith("Fn::"):
            continue
        if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
            raise InvalidInput(f"Template {source}: resource {logical} has no Type.")
    return Template(source, body, document, _declarations(document, source))


def from_summary(summary: dict[str, Any], url: str) -> Template:
    """What GetTemplateSummary tells of a template in S3."""
    parameters = {
        p["ParameterKey"]: Declaration(
            p["ParameterKey"], p.get("ParameterType", "String"), p.get("DefaultValue"), bool(p.get("NoEcho")),
            tuple(p.get("ParameterConstraints", {}).get("AllowedValues", [])))
        for p in summary.get("Parameters", [])
    }
    capabilities = {c: [summary.get("CapabilitiesReason") or url] for c in summary.get("Capabilities", [])
                    if c != "CAPABILITY_AUTO_EXPAND"}
    return Template(url, None, {}, parameters, capabilities, frozenset(summary.get("ResourceTypes", [])))


def from_stack(stack: Mapping[str, Any]) -> Template:
    """What DescribeStacks tells of the template that the stack has: the parameters. Those that AWS masks are NoEcho
    ones, those that it resolves are paths of SSM parameters."""
    parameters = {
        p["ParameterKey"]: Declaration(
            p["ParameterKey"], f"{_SSM_TYPE}Value<String>" if "ResolvedValue" in p else "String",
            no_echo=p.get("ParameterValue") == "****")
        for p in stack.get("Parameters", [])
    }
    return Template(f"of stack {stack.get('StackName')}", None, {}, parameters, unread=True)


def is_nested(change_set: Mapping[str, Any]) -> bool:
    """Whether a change set changes a stack in the stack."""
    return any(change.get("ResourceChange", {}).get("ResourceType") in _STACKS
               for change in change_set.get("Changes", []))


def _types(resources: Any) -> frozenset[str]:
    """Types of the resources, those in a Fn::ForEach included."""
    if not isinstance(resources, dict):
        return frozenset()
    found: set[str] = set()
    for logical, resource in resources.items():
        if str(logical).startswith("Fn::ForEach") and isinstance(resource, list):
            found.update(*(_types(part) for part in resource))
        elif isinstance(resource, dict):
            found.add(str(resource.get("Type", "")))
    return frozenset(found)


def parse(body: str, source: str) -> Any:
    """`body` as plain data, short intrinsics in their long form. Raises InvalidInput with line and column."""
    if body.lstrip().startswith("{"):
        try:
            return json.loads(body)
        except json.JSONDecodeError as error:
            raise InvalidInput(f"Template {source}, line {error.lineno}, column {error.colno}: {error.msg}.",
                               "Correct the JSON.") from error
    import yaml

    try:
        return yaml.load(body, Loader=_loader())  # noqa: S506 - a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InvalidInput(f"Template {source}{where}: {error.problem or error.context}.",
                           "Correct the YAML.") from error
    except yaml.YAMLError as error:
        raise InvalidInput(f"Template {source}: {error}.", "Correct the YAML.") from error


def same(one: Any, other: Any) -> bool:
    """Whether two templates, each as text or as data, mean the same."""
    if isinstance(one, str) and one == other:
        return True
    try:
        return _alike(_data(one), _data(other))
    except InvalidInput:
        return False


def _alike(one: Any, other: Any) -> bool:
    """Equal, types included: to CloudFormation 0 is not false, and 1.0 not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return ({(type(k), k) for k in one} == {(type(k), k) for k in other}
                and all(_alike(value, other[key]) for key, value in one.items()))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return type(one) is type(other) and bool(one == other)


def _data(template: Any) -> Any:
    return parse(template, "") if isinstance(template, str) else template


_LOADER: Any = None


def _loader() -> Any:
    """A safe YAML loader that reads !Sub and its like, keeps dates as text and refuses a key given twice."""
    global _LOADER
    if _LOADER is not None:
        return _LOADER
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):
        pass

    def value_of(loader: Any, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return loader.construct_scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return mapping(loader, node)

    def intrinsic(loader: Any, suffix: str, node: Any) -> Any:
        value = value_of(loader, node)
        if suffix in ("Ref", "Condition"):
            return {suffix: value}
        if suffix == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {f"Fn::{suffix}": value}

    def mapping(loader: Any, node: Any) -> Any:
        loader.flatten_mapping(node)
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            try:
                twice = key in result
            except TypeError as error:
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is not a plain value", key_node.start_mark) from error
            if twice:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            result[key] = loader.construct_object(value_node, deep=True)
        return result

    Loader.add_multi_constructor("!", intrinsic)
    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    # CloudFormation keeps 2010-09-09 as text; a date would not survive the way to JSON.
    Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))
    _LOADER = Loader
    return Loader


def _declarations(document: dict[str, Any], source: str) -> dict[str, Declaration]:
    section = document.get("Parameters") or {}
    if not isinstance(section, dict):
        raise InvalidInput(f"Template {source}: Parameters is not a mapping.")
    return dict(_each_declaration(section, source))


def _each_declaration(section: dict[str, Any], source: str) -> Iterator[tuple[str, Declaration]]:
    for name, value in section.items():
        if not isinstance(value, dict):
            raise InvalidInput(f"Template {source}: parameter {name} is not a mapping.")
        try:
            yield str(name), Declaration(
                name=str(name),
                type=str(value.get("Type", "String")),
                default=None if value.get("Default") is None else scalar(value["Default"]),
                no_echo=scalar(value.get("NoEcho", False)).lower() == "true",
                allowed_values=tuple(scalar(v) for v in value.get("AllowedValues") or ()),
                allowed_pattern=value.get("AllowedPattern"),
                min_length=_number(value, "MinLength", int),
                max_length=_number(value, "MaxLength", int),
                min_value=_number(value, "MinValue", float),
                max_value=_number(value, "MaxValue", float),
                description=value.get("ConstraintDescription"),
            )
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"Template {source}: parameter {name}: {error}.") from error


def _number(value: dict[str, Any], key: str, kind: Any) -> Any:
    return None if value.get(key) is None else kind(value[key])


def scalar(value: Any) -> str:
    """A YAML or Ansible value as CloudFormation writes it: true, 3, a,b."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(scalar(v) for v in value)
    return str(value)


_REFERENCE = re.compile(r"\$\{([A-Za-z0-9:]+)\}")


_ABSENT = {"Ref": "AWS::NoValue"}


def resolved(value: Any, parameters: dict[str, str], conditions: Mapping[str, bool] | None = None) -> Any:
    """`value` with Ref and ${...} of known `parameters` replaced, and the branch of known `conditions` taken: for
    showing, not for deciding."""
    chosen = conditions or {}
    if isinstance(value, dict):
        if len(value) == 1:
            (key, inner), = value.items()
            if key == "Ref" and isinstance(inner, str):
                return parameters.get(inner, value)
            if key == "Fn::Sub" and isinstance(inner, str):
                text = _REFERENCE.sub(lambda m: parameters.get(m[1], m[0]), inner)
                return text if "${" not in text else {key: text}
            if key == "Fn::If" and isinstance(inner, list) and len(inner) == 3 and inner[0] in chosen:
                return resolved(inner[1 if chosen[inner[0]] else 2], parameters, chosen)
        shown = {k: resolved(v, parameters, chosen) for k, v in value.items()}
        return {k: v for k, v in shown.items() if v != _ABSENT}
    if isinstance(value, list):
        return [shown for v in value if (shown := resolved(v, parameters, chosen)) != _ABSENT]
    return value
