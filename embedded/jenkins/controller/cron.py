"""Cron lines of Jenkins' triggers: five fields, with H, lists, ranges, steps and the @ names."""

from __future__ import annotations

import hashlib
import re
import time

FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
NAMES = {"@yearly": "H H H H *", "@annually": "H H H H *", "@monthly": "H H H * *", "@weekly": "H H * * H",
         "@daily": "H H * * *", "@midnight": "H H(0-2) * * *", "@hourly": "H * * * *"}


class BadSpec(Exception):
    """As Jenkins' parser says it, in short."""


class Cron:
    def __init__(self, spec: str, seed: str = "") -> None:
        self.lines = []
        for line in spec.splitlines():
            text = line.strip()
            if not text or text.startswith("#") or re.fullmatch(r"TZ=\S+", text):
                continue
            words = NAMES.get(text, text).split()
            if len(words) != 5:
                raise BadSpec(f'Invalid input: "{text}": expecting 5 fields')
            self.lines.append([_values(word, *limits, f"{seed}{number}")
                               for number, (word, limits) in enumerate(zip(words, FIELDS, strict=True))])

    def matches(self, now: time.struct_time) -> bool:
        day = (now.tm_wday + 1) % 7
        wanted = (now.tm_min, now.tm_hour, now.tm_mday, now.tm_mon, day)
        return any(all(value in field or (number == 4 and value == 0 and 7 in field)
                       for number, (value, field) in enumerate(zip(wanted, line, strict=True)))
                   for line in self.lines)


def _values(word: str, low: int, high: int, seed: str) -> set[int]:
    found: set[int] = set()
    for part in word.split(","):
        match = re.fullmatch(r"(?:(\*)|(H)(?:\((\d+)-(\d+)\))?|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
        if not match:
            raise BadSpec(f'Invalid input: "{part}"')
        star, hashed, first, last, one, until, step = match.groups()
        width = int(step or 1)
        start, end = low, min(high, 6 if high == 7 else high)
        if hashed:
            start, end = int(first or start), int(last or min(end, 28 if high == 31 else end))
        elif one:
            start, end = int(one), int(until or one)
        if width < 1 or start < low or end > high or start > end:
            raise BadSpec(f'"{part}" is not within {low}-{high}')
        if hashed:
            number = int(hashlib.md5(seed.encode(), usedforsecurity=False).hexdigest(), 16)
            found.update(range(start + number % width, end + 1, width) if step
                         else [start + number % (end - start + 1)])
        else:
            found.update(range(start, end + 1, width))
    return found
