"""Optional parameters are given to the templates that know them, and to no other."""

from __future__ import annotations

import pytest

from slipway.changes import UNKNOWN
from slipway.stack.options import Options
from slipway.stack.template import Declaration, Template

KNOWS = Template("new.yml", "", {}, {"ImageTag": Declaration("ImageTag"),
                                     "ImageDigest": Declaration("ImageDigest", default="")})
OLD = Template("old.yml", "", {}, {"ImageTag": Declaration("ImageTag")})


@pytest.mark.parametrize(("template", "digest", "given"), [
    pytest.param(KNOWS, "sha256:1", {"ImageTag": "t", "ImageDigest": "sha256:1"}, id="declared"),
    pytest.param(OLD, "sha256:1", {"ImageTag": "t"}, id="not declared"),
    pytest.param(KNOWS, None, {"ImageTag": "t"}, id="null is as if not named"),
    pytest.param(KNOWS, UNKNOWN, {"ImageTag": "t", "ImageDigest": ""}, id="a preview takes the default"),
])
def test_given(template: Template, digest: str | None, given: dict[str, str]) -> None:
    options = Options("shop", parameters={"ImageTag": "t"}, optional_parameters={"ImageDigest": digest})
    assert options.given(template) == given
    assert options.unknown_inputs == []


def test_a_parameter_goes_before_an_optional_one_of_its_name() -> None:
    options = Options("shop", parameters={"ImageDigest": ""}, optional_parameters={"ImageDigest": "sha256:1"})
    assert options.given(KNOWS) == {"ImageDigest": ""}
