"""A process is told apart from every other, also from the next one with its number."""

from __future__ import annotations

import subprocess

from slipway.ledger import owner


def test_a_living_process_is_not_dead_and_an_ended_one_is() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        name = owner.name(process.pid)
        assert not owner.is_dead(name)
        process.kill()
        process.wait()
    assert owner.is_dead(name)


def test_a_zombie_has_ended() -> None:
    process = subprocess.Popen(["true"])
    name = owner.name(process.pid)
    try:
        while not owner.is_dead(name):
            pass
        assert process.returncode is None
    finally:
        process.wait()


def test_a_process_that_had_ended_before_it_was_named_is_dead() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert owner.is_dead(owner.name(process.pid))


def test_the_next_process_with_its_number_is_another() -> None:
    import os

    place, pid, started = owner.name(os.getpid()).rsplit(" ", 2)
    assert owner.is_dead(f"{place} {pid} {int(started) - 1}")


def test_of_other_places_nothing_is_known() -> None:
    assert not owner.is_dead("another-boot/pid:[1] 1 1")
    assert not owner.is_dead("")
