"""Small pure parts: versions, manifests, trees, Java, users, secrets, signatures, artifacts."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from embedded.jenkins import archives as zips
from embedded.jenkins import catalog, package, update_centre
from embedded.jenkins.controller import java, plugins, secret, settings, tree, users
from embedded.jenkins.controller.codepipeline import archives, plugin, signing
from embedded.jenkins.controller.jobs import BadRequest, check_name


@pytest.mark.parametrize(("older", "newer"), [
    ("2.541.3", "2.555.1"), ("2.9", "2.10"), ("0.47", "0.48"), ("1.0-beta-1", "1.0"), ("1.2.0-6", "1.2.0-8"),
    ("3.303.vefc7119b_ec23", "3.374.v19b_d59ce6610"), ("2.568", "2.568.1"),
])
def test_the_order_of_versions(older: str, newer: str) -> None:
    assert plugins.older(older, newer)
    assert not plugins.older(newer, older)
    assert not plugins.older(older, older)


def test_a_manifest_with_long_lines_is_read_as_it_was_written() -> None:
    fields = {"Manifest-Version": "1.0", "Plugin-Dependencies": ",".join(f"plugin-{n}:1.{n}" for n in range(40))}
    written = zips.manifest(fields)
    assert max(len(line) for line in written.split(b"\r\n")) <= 72
    assert plugins.parse_manifest(written.decode()) == fields


def test_dependencies() -> None:
    found = plugins.parse_dependencies("a:1.0,b:2;resolution:=optional,c:3.v_1")
    assert found == ({"a": "1.0", "c": "3.v_1"}, {"b": "2"})
    assert plugins.parse_dependencies("") == ({}, {})


def test_every_dependency_of_the_catalog_is_there_but_the_one_that_shall_be_missing() -> None:
    known = {(one.name, one.version) for one in catalog.PLUGINS}
    missing = {need for one in catalog.PLUGINS for need in one.needs if need not in known}
    assert missing == {("missing-api", "1.0")}


def test_the_latest_of_the_update_centre_is_the_newest(tmp_path: Path) -> None:
    update_centre.build(tmp_path)
    centre = json.loads((tmp_path / "update-center.actual.json").read_text())
    assert centre["plugins"]["aws-codepipeline"]["version"] == "0.49"
    assert centre["plugins"]["javax-mail-api"]["version"] == "1.6.2-11"
    assert len(centre["plugins"]["sshd"]["sha256"]) == 44


def test_a_war_is_the_same_bytes_each_time_and_names_its_version(tmp_path: Path) -> None:
    package.write_war(tmp_path / "one.war", "2.541.3")
    package.write_war(tmp_path / "two.war", "2.541.3")
    assert (tmp_path / "one.war").read_bytes() == (tmp_path / "two.war").read_bytes()
    assert settings.war_version(str(tmp_path / "one.war")) == "2.541.3"


@pytest.mark.parametrize(("text", "chosen"), [
    ("a", {"a": 1}), ("b[c]", {"b": {"c": 2}}), ("a,b[d[e]]", {"a": 1, "b": {"d": [{"e": 3}, {"e": 4}]}}),
    ("b[d[e]{0,1}]", {"b": {"d": [{"e": 3}, {"e": 4}]}}), ("*", {"a": 1, "b": {"c": 2, "d": [{"e": 3}, {"e": 4}]}}),
    ("none", {}),
])
def test_tree(text: str, chosen: dict[str, Any]) -> None:
    assert tree.select({"a": 1, "b": {"c": 2, "d": [{"e": 3, "f": 1}, {"e": 4}]}} if text != "*" else
                       {"a": 1, "b": {"c": 2, "d": [{"e": 3}, {"e": 4}]}}, text) == chosen


@pytest.mark.parametrize(("said", "version"), [
    ('openjdk version "17.0.15" 2025-04-15', 17), ('java version "1.8.0_292"', 8), ('openjdk version "21" 2023', 21),
    ('openjdk version "25-ea"', 25), ("gcj", None)])
def test_versions_of_java(said: str, version: int | None) -> None:
    assert java.parse_version(said) == version


def test_which_java_a_version_of_jenkins_takes() -> None:
    assert java.supported("2.541.3") == (17, 21, 25)
    assert java.supported("2.555.1") == java.supported("2.568.2") == java.supported("3.1") == (21, 25)


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "a?", "a\tb", "a:b", "a.", "\x7f"])
def test_bad_names_of_jobs(name: str) -> None:
    with pytest.raises(BadRequest):
        check_name(name)


def test_users_passwords_and_tokens_over_a_restart(tmp_path: Path) -> None:
    first = users.Users(tmp_path)
    user = first.get_or_create("Ad min")
    user.password = users.hash_password("geheim & <ü>")
    user.add_token("name", "11" + "a" * 32)
    first.save(user)
    again = users.Users(tmp_path).get("ad MIN")
    assert again is not None
    assert again.has_password("geheim & <ü>")
    assert not again.has_password("geheim")
    assert not again.has_password("")
    token = again.find_token("11" + "a" * 32)
    assert token is not None
    assert token.name == "name"
    assert again.find_token("11" + "b" * 32) is None
    assert not users.User("x", "x").has_password("")


@pytest.mark.parametrize("token", ["", "a" * 34, "11" + "A" * 32, "11" + "a" * 31, "11" + "g" * 32, "12" + "a" * 32])
def test_tokens_that_jenkins_does_not_take(token: str) -> None:
    with pytest.raises(ValueError, match="must consist of 2 characters"):
        users.User("x", "x").add_token("name", token)


@pytest.mark.parametrize("plain", ["", "x", "sixteen bytes ok", "ü" * 50])
def test_secrets(tmp_path: Path, plain: str) -> None:
    one, other = secret.encrypt(tmp_path, plain), secret.encrypt(tmp_path, plain)
    assert one != other
    assert secret.decrypt(tmp_path, one) == secret.decrypt(tmp_path, other) == plain
    assert secret.decrypt(tmp_path / "another", one) == one
    assert secret.decrypt(tmp_path, plain) == plain


@pytest.mark.parametrize(("service", "url"), [
    ("codepipeline", "https://codepipeline.eu-central-1.amazonaws.com/"),
    ("s3", "http://localhost:4566/bucket/a%20key/with%2Bsigns/~x?uploads="),
    ("s3", "https://bucket.s3.eu-central-1.amazonaws.com/key?partNumber=2&uploadId=a%2Bb%2F%3D"),
])
@pytest.mark.parametrize("token", ["", "session token/+="])
def test_a_signature_is_botocores(service: str, url: str, token: str) -> None:
    body = b"body" if "uploads" not in url else b""
    given = signing.sign("POST", url, {"Content-Type": "a  b"}, body, service, "eu-central-1",
                         signing.Credentials("AKIA", "secret", token), now=1_700_000_000)
    names = given["Authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    lowered = {name.lower(): value for name, value in given.items()}
    request = AWSRequest("POST", url, headers={name: lowered[name] for name in names}, data=body)
    request.context["timestamp"] = given["X-Amz-Date"]
    auth = (S3SigV4Auth if service == "s3" else SigV4Auth)(
        BotocoreCredentials("AKIA", "secret", token or None), service, "eu-central-1")
    wanted = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    assert given["Authorization"].endswith(f"Signature={wanted}")


def test_credentials_do_not_show_their_secrets() -> None:
    assert repr(signing.Credentials("AKIA", "hidden", "also hidden")) == "Credentials(access_key='AKIA')"


@pytest.mark.parametrize(("key", "content_type", "kind"), [
    ("a/b.ZIP", "", "Zip"), ("a/b.tar.gz", "application/zip", "TarGz"), ("a/b.tar", "", "Tar"),
    ("a/b", "application/zip", "Zip"), ("a/b", "application/x-gzip", "TarGz"), ("a/b", "binary/octet-stream", "None")])
def test_kinds_of_artifacts(key: str, content_type: str, kind: str) -> None:
    assert archives.kind_of(key, content_type) == kind


@pytest.mark.parametrize("kind", ["Zip", "Tar", "TarGz", "None"])
def test_an_artifact_packed_and_unpacked(tmp_path: Path, kind: str) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "file").write_text("content")
    (source / "sub" / "file").chmod(0o755)
    target.mkdir()
    archives.compress(source, tmp_path / "packed", kind)
    archives.extract(tmp_path / "packed", target, kind, tmp_path)
    assert (target / "sub" / "file").read_text() == "content"
    assert (target / "sub" / "file").stat().st_mode & 0o111 == 0


def test_a_name_that_leaves_the_home_is_not_written(tmp_path: Path) -> None:
    home = tmp_path / "home"
    workspace = home / "workspace" / "job"
    workspace.mkdir(parents=True)
    packed = tmp_path / "a.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("/absolute", "a")
        archive.writestr("../beside", "b")
        archive.writestr("../../../outside", "c")
    with pytest.raises(OSError, match="Permission denied"):
        archives.extract(packed, workspace, "Zip", home)
    assert (workspace / "absolute").read_text() == "a"
    # The plugin itself does not look: what is not its own is the job's to protect.
    assert (home / "workspace" / "beside").read_text() == "b"
    assert not (tmp_path / "outside").exists()


def test_links_of_a_tar_become_empty_files(tmp_path: Path) -> None:
    packed = tmp_path / "a.tar"
    with tarfile.open(packed, "w") as tar:
        entry = tarfile.TarInfo("link")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
        entry = tarfile.TarInfo("file")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    archives.extract(packed, tmp_path, "Tar", tmp_path)
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "link").read_bytes() == b""


def test_the_plugins_three_escapes() -> None:
    assert plugin.sanitize("a<b>&\"c'd\\ü") == "a&lt;b&gt;&amp;&quot;c''d\\\\\\xfc"
    assert plugin.sanitize("plain-name_1") == "plain-name_1"


@pytest.mark.parametrize(("options", "properties"), [
    ("", {}), ("-Xmx1g -Da=b -Dc", {"a": "b", "c": ""}), ("-Da='b c'", {"a": "b c"})])
def test_properties_of_the_jvm(options: str, properties: dict[str, str]) -> None:
    assert settings.java_properties(options) == properties
