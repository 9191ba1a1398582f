"""Values of the configuration that no log, error or listing may show whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from storage.access_keys import BYTES, PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.sections import Section

HIDDEN = "***"
# As much as could be a password, which may hold any character where it is not encoded.
_PASSWORD = re.compile(r"(?<=://)([^:]*):.*@", re.DOTALL)
_KEY = re.compile(rf"{PREFIX}[0-9a-f]{{{2 * BYTES}}}")
_PARAMETER = re.compile(r"(password=)[^&\s]*", re.IGNORECASE)


def without_keys(text: str) -> str:
    """Give *text* without the keys of ours that somebody has put where they don't belong."""
    return _KEY.sub(f"{PREFIX}{HIDDEN}", text)


def hidden(value: str) -> str:
    """Give what is shown of a secret: whether there is one."""
    return HIDDEN if value else ""


def without_password(url: str) -> str:
    """Give what is shown of a database's URL."""
    return _PARAMETER.sub(rf"\1{HIDDEN}", _PASSWORD.sub(rf"\1:{HIDDEN}@", url))


# Types of such fields. The key "shown" of a type's extra holds the function from the value
# to what may be seen of it.
Secret = Annotated[str, msgspec.Meta(extra={"shown": hidden})]
Dsn = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(embedded|postgres(ql)?://.*)$",
        description="embedded or postgresql://user:password@host:port/database",
        extra={"shown": without_password},
    ),
]


Server = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(postgres(ql)?://.*)?$",
        description="postgresql://user:password@host:port/database, or nothing",
        extra={"shown": without_password},
    ),
]


def shown(section: Section) -> dict[str, Any]:
    """Give the fields of *section* as they may be shown, by their names in the file."""
    hints = get_type_hints(type(section), include_extras=True)
    return {
        field.encode_name: _shown(getattr(section, field.name), hints[field.name])
        for field in msgspec.structs.fields(type(section))
    }


def _shown(value: Any, hint: Any) -> Any:
    if isinstance(value, dict) and get_origin(hint) is dict:
        return {key: _shown(item, get_args(hint)[1]) for key, item in value.items()}
    hide = hider(hint)
    return hide(value) if hide and isinstance(value, str) else value


def hider(hint: Any) -> Callable[[str], str] | None:
    """Give the function that hides a value of the type *hint*, if that is a secret's."""
    info = msgspec.inspect.type_info(hint)
    extra = info.extra if isinstance(info, msgspec.inspect.Metadata) else None
    return (extra or {}).get("shown")


def represent(section: Section) -> str:
    """Stand in for ``__repr__`` of a section that has secrets."""
    fields = ", ".join(f"{name}={value!r}" for name, value in shown(section).items())
    return f"{type(section).__name__}({fields})"
