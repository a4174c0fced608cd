"""The kinds of actions, one file each. A kind starts an action's work and says later how it went."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class Kind:
    """What the engine asks of a kind. begin and abandon are called with the store's lock held, and must not wait."""

    def begin(self, action: Json) -> None:
        """Start the work, or raise ActionFailed."""
        raise NotImplementedError

    def resume(self, action_id: str) -> None:
        """Go on with an action that a restart cut off; without the lock."""
        raise NotImplementedError

    def abandon(self, action: Json) -> None:
        """Nobody waits for the action any more."""


_KINDS: dict[tuple[str, str], Kind] = {}


def register(owner: str, provider: str, kind: Kind) -> None:
    """provider: '' for all of the owner's."""
    _KINDS[owner, provider] = kind


def kind_of(type_id: Json) -> Kind:
    return _KINDS.get((type_id["owner"], type_id["provider"])) or _KINDS[type_id["owner"], ""]
