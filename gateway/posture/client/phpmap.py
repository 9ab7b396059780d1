"""Maps as SecuritySpace writes them: PHP makes an object of one, but a list where its keys are 0, 1, ..., and `[]`
where it is empty (contract/posture.md 'For all three'; SecuritySpace's REST API Guide, whose schemas call them
objects)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.posture.answer import Node


def read_map(owner: Node, key: str) -> Iterator[tuple[str | None, Node]]:
    """(key, value) of the map at `key` of an answer's object; the key is None where it came as a list. Nothing if the
    map is missing or null. Raises OffContract if it is something else."""
    if not owner.has(key):
        return
    node = owner[key]
    came_as_list = isinstance(node.raw, list)
    for name, value in node.members():
        yield None if came_as_list else name, value


def read_texts(owner: Node, key: str) -> tuple[str, ...]:
    """The texts of such a map."""
    return tuple(value.as_text() for _, value in read_map(owner, key))
