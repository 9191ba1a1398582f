"""How every command and action of the program is added to those above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  it has no other name


def add(commands: Commands, name: str, text: str, **settings: Any) -> argparse.ArgumentParser:
    """Add *name*, which *text* tells of; names of options are not to be cut short."""
    description = f"{text[0].upper()}{text[1:]}."
    return commands.add_parser(
        name, help=text, description=description, allow_abbrev=False, **settings
    )
