"""A group whose commands are made when they are typed: making all of them costs each start as much as its own work."""

from __future__ import annotations

import copy
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command_from_info, get_command_name, get_group_from_info
from typer.models import TyperInfo


class TypedGroup(TyperGroup):
    """source: what its commands are made from."""

    source: typer.Typer

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order in which they are declared, the groups last."""
        return [*_commands(self.source), *_groups(self.source)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """None if there is none of that name; all are made then, for who looks which one was meant."""
        names = self.list_commands(ctx)
        for name in [cmd_name] if cmd_name in names else names:
            if name not in self.commands:
                self.commands[name] = self._made(name)
        return self.commands.get(cmd_name)

    def _made(self, name: str) -> Any:
        if (group := _groups(self.source).get(name)) is not None:
            return _group_of(group)
        return get_command_from_info(
            _commands(self.source)[name], pretty_exceptions_short=self.source.pretty_exceptions_short,
            rich_markup_mode=self.source.rich_markup_mode,
        )  # fmt: skip


def command_of(app: typer.Typer) -> TypedGroup:
    """What to call with the arguments."""
    return _group_of(TyperInfo(app))


def _group_of(info: TyperInfo) -> TypedGroup:
    source = info.typer_instance
    assert source is not None
    own, bare = copy.copy(info), copy.copy(source)
    bare.registered_commands, bare.registered_groups = [], []
    own.typer_instance, own.cls = bare, TypedGroup
    made = get_group_from_info(
        own, pretty_exceptions_short=source.pretty_exceptions_short, rich_markup_mode=source.rich_markup_mode,
        suggest_commands=source.suggest_commands,
    )  # fmt: skip
    assert isinstance(made, TypedGroup)
    made.source = source
    return made


def _commands(source: typer.Typer) -> dict[str, Any]:
    return {
        one.name or get_command_name(one.callback.__name__): one for one in source.registered_commands if one.callback
    }


def _groups(source: typer.Typer) -> dict[str, TyperInfo]:
    return {str(one.name): one for one in source.registered_groups}
