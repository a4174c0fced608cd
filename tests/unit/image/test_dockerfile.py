"""Which images a Dockerfile builds on."""

from __future__ import annotations

import pytest

from slipway.errors import InvalidInput
from slipway.image.dockerfile import base_images


@pytest.mark.parametrize(("text", "arguments", "target", "expected"), [
    ("FROM debian:12", {}, None, ["debian:12"]),
    ("from debian:12 as x\n", {}, None, ["debian:12"]),
    ("FROM scratch", {}, None, []),
    ("# comment\n\nFROM --platform=$BUILDPLATFORM debian", {}, None, ["debian"]),
    ("ARG V=12\nFROM debian:$V", {}, None, ["debian:12"]),
    ("ARG V=12\nFROM debian:$V", {"V": "13"}, None, ["debian:13"]),
    ("ARG V\nFROM debian:${V:-11}", {}, None, ["debian:11"]),
    ("ARG V=12\nFROM debian${V:+:$V}", {}, None, ["debian:12"]),
    ('ARG BASE="a/b:c"\nFROM "${BASE}"', {}, None, ["a/b:c"]),
    ("ARG A=1\nARG B=x$A\nFROM i:$B", {}, None, ["i:x1"]),
    ("FROM a AS one\nFROM b\nCOPY --from=one /x /y", {}, None, ["a", "b"]),
    ("FROM a AS one\nFROM one AS two", {}, None, ["a"]),
    ("FROM a AS One\nFROM b AS two\nFROM c", {}, "one", ["a"]),
    ("FROM a AS one\nFROM b AS two\nFROM c", {}, "1", ["a", "b"]),
    ("FROM a\nFROM b\nCOPY --from=0 /x /y", {}, None, ["a", "b"]),
    ("FROM a\nCOPY --chown=1 --from=tools:2 /x /y", {}, None, ["a", "tools:2"]),
    ("FROM a\nRUN --mount=type=bind,from=deps:1,target=/d true", {}, None, ["a", "deps:1"]),
    ("FROM \\\n  debian:12", {}, None, ["debian:12"]),
    ("# escape=`\nFROM `\n  debian:12", {}, None, ["debian:12"]),
    ("FROM a\nRUN <<EOF\nFROM b\nEOF\nRUN true", {}, None, ["a"]),
    ("FROM a\nRUN echo \\\n# a comment in between\n  FROM b", {}, None, ["a"]),
    ("FROM a@sha256:" + "0" * 64, {}, None, ["a@sha256:" + "0" * 64]),
])
def test_base_images(text: str, arguments: dict[str, str], target: str | None, expected: list[str]) -> None:
    assert base_images(text, arguments, target) == expected


@pytest.mark.parametrize(("text", "target", "message"), [
    ("", None, "no FROM"),
    ("RUN true", None, "no FROM"),
    ("ARG V\nFROM $V", None, "names no image"),
    ("FROM a AS one", "two", "no stage 'two'"),
    ("FROM a b c d", None, "cannot be read"),
])
def test_bad_dockerfiles(text: str, target: str | None, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        base_images(text, {}, target)
