"""What a formatted traceback says was wrong: the type and the message of its exception."""

from __future__ import annotations

import re

# No pattern may run over the ends of lines and back: a record is up to megabytes.

# Between the tracebacks of chained exceptions; the last one is what was raised in the end.
_LINKS = re.compile(
    r"^[ |]*(?:The above exception was the direct cause of the following exception:"
    r"|During handling of the above exception, another exception occurred:)[ \r]*$",
    re.MULTILINE,
)
_HEADER = re.compile(r"^Traceback \(most recent call last\):[ \r]*$", re.MULTILINE)
_GROUP_HEADER = re.compile(
    r"^ *\+ Exception Group Traceback \(most recent call last\):[ \r]*$", re.MULTILINE
)
_GROUP_MARGIN = re.compile(r"^ *\| ?", re.MULTILINE)
_GROUP_MEMBERS = re.compile(r"^ *\+-+", re.MULTILINE)
# The first line at the margin, after the frames; all that follows belongs to the message.
_RAISED = re.compile(
    r"(?P<type>[^\W\d]\w*(?:\.(?:\w+|<locals>))*)(?::(?: |$)|$)(?P<message>.*)",
    re.MULTILINE | re.DOTALL,
)
_AT_MARGIN = re.compile(r"^(?=\S)", re.MULTILINE)
_JAVASCRIPT_FRAME = re.compile(r"\n[ \t]+at .*", re.DOTALL)
_LIKELY = ("Error", "Exception", "Warning", "Interrupt", "Exit", "Group", "Failure", "Timeout")


def raised(text: str) -> tuple[str, str | None] | None:
    """
    Find the type, as it is written there, and the message of the exception in *text*.

    Of chained exceptions it is the last, of a group the group itself. A message may have
    many lines. Text without a traceback counts only where it starts like ``SomeError: …``.
    """
    block = _LINKS.split(text)[-1]
    if group := _GROUP_HEADER.search(block):
        lines = _GROUP_MARGIN.sub("", _GROUP_MEMBERS.split(block[group.end() :], maxsplit=1)[0])
        return _from_lines(lines)
    if header := _HEADER.search(block):
        return _from_lines(block[header.end() :])
    found = _from_lines(_JAVASCRIPT_FRAME.sub("", block))
    return found if found and found[0].endswith(_LIKELY) else None


def _from_lines(lines: str) -> tuple[str, str | None] | None:
    start = _AT_MARGIN.search(lines)
    found = start and _RAISED.match(lines.rstrip(), start.end())
    if not found:
        return None
    return found["type"], found["message"].strip() or None
