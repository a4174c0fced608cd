"""What a seed commit changes, in portions that AWS takes."""

from __future__ import annotations

import pytest

from slipway.errors import InvalidInput
from slipway.pipeline.seed_plan import BYTES, FILE_BYTES, FILES, differences, mode, portions
from slipway.pipeline.tree import EXECUTABLE, NORMAL, SYMLINK, Entry


def files(**given: str) -> dict[str, Entry]:
    return {name: Entry(NORMAL, blob, 1) for name, blob in given.items()}


def test_only_what_differs_is_put_and_what_is_gone_is_deleted() -> None:
    local = files(same="1", changed="2", new="3")
    there = files(same="1", changed="1", gone="4")
    assert differences(local, there) == (["changed", "new"], ["gone"])


def test_another_mode_is_a_difference_and_another_size_is_none() -> None:
    local = {"run": Entry(EXECUTABLE, "1", 10), "read": Entry(NORMAL, "2", 10)}
    assert differences(local, {"run": Entry(NORMAL, "1"), "read": Entry(NORMAL, "2")}) == (["run"], [])


def test_nothing_to_do_is_no_portion() -> None:
    assert portions(files(a="1"), [], []) == []


@pytest.mark.parametrize(("put", "delete", "counts"), [
    (99, 1, [(99, 1)]), (100, 0, [(100, 0)]), (101, 0, [(100, 0), (1, 0)]), (100, 1, [(99, 1), (1, 0)]),
    (1, 250, [(0, 100), (0, 100), (1, 50)]), (0, 100, [(0, 100)]), (1, 100, [(0, 100), (1, 0)]),
])
def test_a_portion_has_room_for_a_hundred_files(put: int, delete: int, counts: list[tuple[int, int]]) -> None:
    local = {f"new{n:03}": Entry(NORMAL, str(n), 1) for n in range(put)}
    found = portions(local, sorted(local), [f"old{n:03}" for n in range(delete)])
    assert [(len(one.put), len(one.delete)) for one in found] == counts
    assert max(len(one.put) + len(one.delete) for one in found) <= FILES
    assert [name for one in found for name in one.put] == sorted(local)


def test_a_portion_is_no_larger_than_aws_takes() -> None:
    local = {f"f{n}": Entry(NORMAL, str(n), FILE_BYTES) for n in range(3)}
    assert [one.put for one in portions(local, sorted(local), [])] == [["f0"], ["f1"], ["f2"]]
    small = {f"f{n}": Entry(NORMAL, str(n), BYTES // 2) for n in range(3)}
    assert [one.put for one in portions(small, sorted(small), [])] == [["f0", "f1"], ["f2"]]


def test_a_file_too_large_for_the_api_is_named() -> None:
    local = {"video.mp4": Entry(NORMAL, "1", FILE_BYTES + 1)}
    with pytest.raises(InvalidInput, match=r"video\.mp4 has 6291457 bytes; AWS takes 6291456"):
        portions(local, ["video.mp4"], [])


@pytest.mark.parametrize(("put", "delete"), [("a/b", "a"), ("a", "a/b"), ("a/b/c", "a"), ("a", "a/b/c")])
def test_a_file_in_the_place_of_a_folder_comes_after_it_is_gone(put: str, delete: str) -> None:
    found = portions({put: Entry(NORMAL, "1", 1)}, [put], [delete])
    assert [(one.put, one.delete) for one in found] == [([], [delete]), ([put], [])]


def test_names_that_begin_alike_are_not_in_each_others_way() -> None:
    assert len(portions(files(ab="1"), ["ab"], ["a"])) == 1


def test_modes_have_codecommits_names() -> None:
    assert [mode(Entry(one, "")) for one in (NORMAL, EXECUTABLE, SYMLINK)] == ["NORMAL", "EXECUTABLE", "SYMLINK"]
