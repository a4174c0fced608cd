"""Names: what the real services take and refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway import names
from slipway.errors import InvalidInput


@pytest.mark.parametrize("name", ["ab", "a0", "team/app", "a.b_c-d/e", "0/1", "a" * 256])
def test_repository_accepted(name: str) -> None:
    assert names.check_repository(name) == name


@pytest.mark.parametrize(("name", "part"), [
    ("", "0 characters"), ("a", "1 characters"), ("a" * 257, "257 characters"), ("Team/app", "character 1 ('T')"),
    ("team//app", "character 5 ('/')"), ("app-", "character 4 ('-')"), ("app name", "character 4 (' ')"),
    ("a..b", "character 2 ('.')"), ("/app", "character 1 ('/')"), ("app\n", "'\\n'"), ("$(id)", "character 1 ('$')"),
])
def test_repository_refused(name: str, part: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        names.check_repository(name)
    assert part in str(refused.value)
    assert "ECR takes" in str(refused.value)


@pytest.mark.parametrize("tag", ["1", "v1.2", "_x", "20261123-101500-abc1234", "A" * 128])
def test_tag_accepted(tag: str) -> None:
    assert names.check_tag(tag) == tag


@pytest.mark.parametrize(("tag", "part"), [("", "empty"), ("-v1", "character 1"), (".x", "character 1"),
                                           ("a b", "character 2 (' ')"), ("A" * 129, "129 characters"),
                                           ("v1\n", "'\\n'"), ("ü", "character 1")])
def test_tag_refused(tag: str, part: str) -> None:
    with pytest.raises(InvalidInput, match="(?s).*") as refused:
        names.check_tag(tag)
    assert part in str(refused.value)


@pytest.mark.parametrize("name", ["a", "Web-1", "z" * 128])
def test_stack_accepted(name: str) -> None:
    assert names.check_stack(name) == name


@pytest.mark.parametrize(("name", "part"), [("", "ends too early"), ("1a", "character 1"), ("a_b", "character 2"),
                                            ("-a", "character 1"), ("a" * 129, "129 characters")])
def test_stack_refused(name: str, part: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        names.check_stack(name)
    assert part in str(refused.value)


@given(st.text(max_size=300), st.sampled_from([names.check_repository, names.check_tag, names.check_stack]))
def test_any_text_is_taken_or_refused_in_words(text: str, rule: Callable[[str], str]) -> None:
    try:
        assert rule(text) == text
    except InvalidInput as refused:
        assert refused.message.strip() and refused.remedy.strip()
        assert len(str(refused)) < 400
