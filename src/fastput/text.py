"""Text of others on our lines."""

from __future__ import annotations

import unicodedata

_BREAKS = ("Zl", "Zp")


def printable(text: str) -> str:
    """The text with everything escaped, as \\x1b, that a terminal might take for more than a character.

    Keys, file names and stores' messages come from others: control characters, line ends, what turns the direction
    of writing, bytes that aren't UTF-8. All else stays as it is, backslashes too: this is for eyes, not for programs.
    """
    if text.isprintable():
        return text
    return "".join(_escape(character) if _is_hazard(character) else character for character in text)


def _is_hazard(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] == "C" or category in _BREAKS


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
