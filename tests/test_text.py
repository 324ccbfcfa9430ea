"""What others wrote, on our lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.errors import FastputError
from fastput.text import printable


@pytest.mark.parametrize(
    "text", ["", "plain", "two words", "é", "日本\u3000語", "a\u00a0b", "back\\slash", "\\x1b", "🔬", "'\"<&>%"]
)
def test_what_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x9b31m", "\\x9b31m"),
        ("\x00\x7f", "\\x00\\x7f"),
        ("\u202eexe.txt", "\\u202eexe.txt"),
        ("\u2028", "\\u2028"),
        ("\udcff", "\\udcff"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_what_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_nothing_else_comes_out(text: str) -> None:
    shown = printable(text)
    assert all(character.isprintable() or character.isspace() for character in shown)
    assert not set(shown) & {chr(code) for code in (*range(32), *range(0x7F, 0xA0), 0x2028, 0x2029)}
    shown.encode()
    assert printable(shown) == shown


def test_errors_are_printable() -> None:
    error = FastputError("s3://b/\x1b]0;title\x07", upload_id="\x9b1m")
    assert str(error) == "s3://b/\\x1b]0;title\\x07 (multipart upload \\x9b1m is left on the store)"
    error.hint = "put \x1b again"
    assert "\x1b" not in str(error)
