"""What secrets and personal data look like in text; each pattern takes time linear in the text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable


class Pattern(msgspec.Struct, frozen=True):
    """Text that is to go: what *expression* finds, and *holds* is true of."""

    name: str
    expression: re.Pattern[str]
    hints: tuple[str, ...] = ()  # text without any of these is not looked through
    holds: Callable[[str], bool] | None = None


def is_card(text: str) -> bool:
    """Tell whether the digits of *text* have the check digit of a payment card (ISO/IEC 7812)."""
    digits = [int(each) for each in text if each.isdigit()]
    doubled = (divmod(2 * digit, 10) for digit in digits[-2::-2])
    return (sum(digits[::-2]) + sum(map(sum, doubled))) % 10 == 0


_WORD = r"(?<![A-Za-z0-9_-])"
# The ranges of numbers that are given to cards, or every tenth long number would be one.
_CARD = r"(?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|6(?:011|5\d\d)|35\d\d)(?:[ -]?\d{4}){3}"
_AMEX = r"3[47]\d\d[ -]?\d{6}[ -]?\d{5}"

BUILT_IN = {
    each.name: each
    for each in (
        Pattern("jwt", re.compile(rf"{_WORD}eyJ[\w-]{{5,}}\.[\w-]+\.[\w-]*", re.ASCII), ("eyJ",)),
        Pattern(
            "authorization",
            re.compile(r"\b(?:bearer|basic) +[A-Za-z0-9._~+/=-]{8,}", re.ASCII | re.IGNORECASE),
            ("earer ", "asic ", "EARER ", "ASIC "),
        ),
        Pattern(
            "api_key",
            re.compile(
                rf"{_WORD}(?:A[KS]IA[0-9A-Z]{{16}}|gh[pousr]_\w{{36,255}}|github_pat_\w{{36,255}}"
                r"|xox[abeoprs]-[\w-]{10,255}|[sr]k_live_\w{16,255}|sk-[\w-]{20,255}"
                r"|AIza[\w-]{35}|glpat-[\w-]{20,255}|pxc_[0-9a-f]{64})",
                re.ASCII,
            ),
            ("IA", "gh", "git", "xox", "k_live_", "sk-", "glpat-", "pxc_"),
        ),
        Pattern(
            "private_key",
            re.compile(
                r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"
                r"[^-]*(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?"
            ),
            ("PRIVATE KEY",),
        ),
        Pattern(
            "url_password", re.compile(r"(?<=://)[^\s/:@]{0,200}:[^\s/@]{1,200}(?=@)"), ("://",)
        ),
        Pattern(
            "card", re.compile(rf"(?<![\d.-])(?:{_CARD}|{_AMEX})(?![\d-])", re.ASCII), holds=is_card
        ),
        Pattern(
            "email",
            re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])"),
            ("@",),
        ),
    )
}
