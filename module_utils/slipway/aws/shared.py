"""What the modules of one run of several services share: answers, the login to a registry, and how fast they may call.

Ansible's modules are processes of their own, which know nothing of each other. Its controller therefore holds a few
files in memory (the action plugins' warm.py), and names them in the environment of each module. They vanish with the
controller, however it ends; where they cannot be had, everything is asked as if one module were alone.

Answers are fetched together: who wants one says so, and whoever is the first to ask fetches for the others too.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

VARIABLE = "SLIPWAY_SHARED"
#: The files, and what each is for.
ANSWERS, FETCH, PACE = "answers", "fetch", "pace"
#: Beside them: how many hosts come to a task at once.
HOSTS = "hosts"

#: Seconds for which who asked for an answer counts as waiting for it, and for which another one's fetch is awaited.
_WANTED, _PATIENCE = 8.0, 3.0
#: Seconds for which a question that is new to the run waits for others to join it, and longer, up to the second of
#: them, while some do: hosts come to a task one by one.
_JOIN, _JOIN_LIMIT = 0.2, 1.0
#: Seconds after which an answer that nobody asked for again is forgotten.
_KEPT = 600.0


class Shared:
    """files: path of each file by its name; hosts: how many of the run come to a task at once. Every method falls back
    to asking alone where a file cannot be used."""

    def __init__(self, files: Mapping[str, str], hosts: int = 1000) -> None:
        self._files = files
        self.hosts = hosts

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Shared | None:
        """What the environment names, None where it names nothing that this process can open."""
        with suppress(ValueError, OSError, KeyError, TypeError, AttributeError):
            given = json.loads(environment[VARIABLE])
            files = {name: str(given[name]) for name in (ANSWERS, FETCH, PACE)}
            for path in files.values():
                os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
            return cls(files, int(given.get(HOSTS, 1000)))
        return None

    def gather(self, group: str, key: str, fetch: Callable[[list[str]], Mapping[str, Any]], age: float,
               limit: int = 10, memory: float = _WANTED, whole: bool = False) -> Any:
        """The answer for `key`, at most `age` seconds old; None where there is none.

        fetch: asked for up to `limit` keys of the group at once, gives an answer for those that have one: of those that
        somebody asked for or expected within the last `memory` seconds, and whose answers are not quite new; whole: of
        all of them, as one more costs nothing. Raises what fetch raises when it is asked for `key` alone.
        """
        try:
            known = self._ask(group, key, age)
            if known is None:
                with self._fetching(group) as ours:
                    # Who had the turn before us may have brought ours along.
                    known = self._ask(group, key, age)
                    if known is None and ours:
                        if limit > 1 and key and self._is_new(group, key):
                            self._await_others(group, limit)
                        return self._fetch(group, key, fetch, 0.0 if whole else age, limit, memory)
            if known is not None:
                return known["value"]
        except OSError:
            pass
        return fetch([key]).get(key)

    def expect(self, group: str, key: str) -> None:
        """Say that the answer for `key` will be asked for, so that whoever fetches before that brings it along, and
        nobody has to wait for others who may ask."""
        with suppress(OSError), self._open(ANSWERS) as store:
            store.setdefault(group, {}).setdefault(key, {}).update(wanted=time.monotonic(), foreseen=True)

    def forget(self, group: str, key: str) -> None:
        """The answer for `key` will not be asked for any more."""
        with suppress(OSError), self._open(ANSWERS) as store:
            (store.get(group) or {}).pop(key, None)

    def _ask(self, group: str, key: str, age: float) -> dict[str, Any] | None:
        """The shelf's answer while it is new enough; and a note that it is wanted."""
        now = time.monotonic()
        with self._open(ANSWERS, fcntl.LOCK_SH) as store:
            mine = (store.get(group) or {}).get(key) or {"wanted": 0.0}
        fresh = mine if "at" in mine and now - mine["at"] <= age else None
        # Writing takes longer than reading, so it is not noted again and again.
        if not fresh or now - mine["wanted"] > _WANTED / 4:
            with self._open(ANSWERS) as store:
                store.setdefault(group, {}).setdefault(key, {})["wanted"] = now
        return fresh

    def _is_new(self, group: str, key: str) -> bool:
        with self._open(ANSWERS, fcntl.LOCK_SH) as store:
            return not {"at", "foreseen"} & set((store.get(group) or {}).get(key) or {})

    def _await_others(self, group: str, limit: int) -> None:
        """Return when nobody has joined for a moment, or enough have."""
        before, until = 0, time.monotonic() + _JOIN_LIMIT
        while True:
            with self._open(ANSWERS, fcntl.LOCK_SH) as store:
                new = sum("at" not in one for one in (store.get(group) or {}).values())
            if new == before or new >= min(limit, self.hosts) or time.monotonic() >= until:
                return
            before = new
            time.sleep(_JOIN)

    def _fetch(self, group: str, key: str, fetch: Callable[[list[str]], Mapping[str, Any]], age: float,
               limit: int, memory: float) -> Any:
        now = time.monotonic()
        with self._open(ANSWERS, fcntl.LOCK_SH) as store:
            shelf = store.get(group) or {}
        # Those whose answers are the oldest first.
        others = sorted((name for name, one in shelf.items() if name != key and now - one["wanted"] < memory
                         and now - one.get("at", 0.0) > age / 2), key=lambda name: shelf[name].get("at", 0.0))
        keys = [key, *others[:limit - 1]]
        try:
            found = fetch(keys)
        except Exception:
            if len(keys) == 1:
                raise
            # One of the others may be at fault, or not allowed.
            keys, found = [key], fetch([key])
        now = time.monotonic()
        with suppress(OSError), self._open(ANSWERS) as store:
            shelf = store.setdefault(group, {})
            for name in keys:
                shelf[name] = {"wanted": now, **shelf.get(name, {}), "at": now, "value": found.get(name)}
            store[group] = {name: one for name, one in shelf.items() if now - one["wanted"] < _KEPT}
        return found.get(key)

    def once(self, group: str, fetch: Callable[[], Any], age: float) -> Any:
        """fetch()'s answer, the same one for the whole run while it is not older than `age` seconds."""
        return self.gather(group, "", lambda _: {"": fetch()}, age)

    def take_turn(self, group: str, sleep: Callable[[float], None] = time.sleep) -> None:
        """Wait until one more call of this kind may be made by the run."""
        with suppress(OSError):
            with self._open(PACE) as store:
                store[group], wait = spend(store.get(group) or {}, time.monotonic())
            if wait > 0:
                sleep(wait)

    def slow_down(self, group: str) -> None:
        """AWS throttled a call of this kind."""
        with suppress(OSError), self._open(PACE) as store:
            store[group] = throttled(store.get(group) or {}, time.monotonic())

    @contextmanager
    def _fetching(self, group: str) -> Iterator[bool]:
        """Within the block nobody else fetches for the group, where True is given; where False, that was not to be had.
        """
        handle = os.open(self._files[FETCH], os.O_RDWR | os.O_CLOEXEC)
        try:
            yield self._locked(handle, group)
        finally:
            os.close(handle)

    def _locked(self, handle: int, group: str) -> bool:
        """One byte of the file is the group's. Of an open file, so that threads of one process exclude each other."""
        number = sum(group.encode()) % 4096 + 1
        command = getattr(fcntl, "F_OFD_SETLK", None)
        if command is None:
            return False
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.fcntl(handle, command, _write_lock(number))
            except (BlockingIOError, PermissionError):
                if time.monotonic() > until:
                    return False
                time.sleep(0.02)
            except OSError:
                return False
            else:
                return True

    @contextmanager
    def _open(self, name: str, lock: int = fcntl.LOCK_EX) -> Iterator[dict[str, Any]]:
        """The file's content, to change; what is in it after the block is written. With LOCK_SH only to read.

        Raises OSError.
        """
        handle = os.open(self._files[name], os.O_RDWR | os.O_CLOEXEC)
        try:
            # Held for a moment only, and given back by the kernel when its holder is killed.
            fcntl.flock(handle, lock)
            store = _load(_all_of(handle))
            yield store
            if lock != fcntl.LOCK_EX:
                return
            data = json.dumps(store, default=_encode).encode()
            # A kill between these two leaves what cannot be read, and counts as nothing.
            os.ftruncate(handle, 0)
            os.pwrite(handle, data, 0)
        finally:
            os.close(handle)


# -- how fast: pure --------------------------------------------------------------------------------------------------

#: Calls a second to one service of AWS, and how many at once after a pause. AWS's own limits are 20 and more.
RATE, BURST = 15.0, 30.0
#: After a throttled call the rate is halved, but never below this; it comes back within about a minute.
_LEAST, _RECOVERY = 1.0, 0.25


def spend(state: Mapping[str, float], now: float) -> tuple[dict[str, float], float]:
    """The state after one more call, and the seconds to wait before it. state: {} at first."""
    passed = max(0.0, now - state.get("at", now))
    rate = min(RATE, state.get("rate", RATE) + passed * _RECOVERY)
    # Below zero: calls that were promised and wait already.
    left = min(BURST, state.get("left", BURST) + passed * rate) - 1
    return {"at": now, "rate": rate, "left": left}, max(0.0, -left / rate)


def throttled(state: Mapping[str, float], now: float) -> dict[str, float]:
    """The state after AWS has throttled a call."""
    rate = max(_LEAST, state.get("rate", RATE) / 2)
    return {"at": now, "rate": rate, "left": min(0.0, state.get("left", 0.0))}


# -- the files' content ----------------------------------------------------------------------------------------------

def _write_lock(start: int) -> bytes:
    """struct flock of Linux for one byte."""
    import struct

    return struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, 1, 0)


def _all_of(handle: int) -> bytes:
    return os.pread(handle, os.fstat(handle).st_size, 0)


def _load(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data, object_hook=_decode) if data else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _encode(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"__time__": value.isoformat()}
    return str(value)


def _decode(found: dict[str, Any]) -> Any:
    return datetime.fromisoformat(found["__time__"]) if set(found) == {"__time__"} else found
