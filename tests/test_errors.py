"""The tree in the docstring is the tree of the classes."""

from __future__ import annotations

import inspect
import re

import pytest

from fastput import errors


def drawn() -> dict[str, tuple[str | None, int | None]]:
    """Name: (parent, exit status), as the module's docstring draws them."""
    assert errors.__doc__ is not None
    found: dict[str, tuple[str | None, int | None]] = {}
    parents: list[tuple[int, str]] = []
    for line in errors.__doc__.splitlines():
        match = re.match(r"^([ │├└─]*)([A-Z]\w+)( +(\d+)\b)?( |$)", line)
        if not match or not line.startswith("    "):
            continue
        depth, name = len(match[1]), match[2]
        while parents and parents[-1][0] >= depth:
            parents.pop()
        found[name] = (parents[-1][1] if parents else None, int(match[4]) if match[4] else None)
        parents.append((depth, name))
    return found


def classes() -> dict[str, type[errors.FastputError]]:
    return {
        name: member
        for name, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, errors.FastputError)
    }


def test_the_drawing_is_whole() -> None:
    assert set(drawn()) == set(classes())


@pytest.mark.parametrize("name", sorted(classes()))
def test_parents_and_exit_statuses(name: str) -> None:
    parent, status = drawn()[name]
    error_class = classes()[name]
    assert error_class.__bases__[0].__name__ == (parent or "Exception")
    if status is None:
        assert parent is not None
        assert error_class.exit_status == classes()[parent].exit_status
    else:
        assert error_class.exit_status == status
    assert 1 <= error_class.exit_status <= 255
    assert error_class.__doc__


def test_statuses_tell_apart_what_is_not_related() -> None:
    own = {name: status for name, (_, status) in drawn().items() if status not in (None, 1)}
    assert len(set(own.values())) == len(own)


def test_attributes() -> None:
    error = errors.StoreError("text", bucket="b", key="k", part=3, request_id="r", status=400, code="c")
    assert (error.bucket, error.key, error.part, error.request_id, error.status, error.code) == (
        "b", "k", 3, "r", 400, "c"
    )  # fmt: skip
    assert str(error) == "text"
    error.upload_id = "u1"
    assert str(error) == "text (multipart upload u1 is left on the store)"
    assert isinstance(errors.UsageError("x"), ValueError)
