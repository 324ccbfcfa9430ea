"""Where a key, or a member of an archive, goes below a directory, or why it goes nowhere. Pure.

Keys and members are other people's words: nobody checks them before they become paths.
"""

from __future__ import annotations

from collections.abc import Container


class Refused(Exception):
    """A name that isn't followed; says why."""


def below(name: bytes, links: Container[bytes] = ()) -> bytes:
    """The path below the directory.

    Args:
        name: parts between slashes; one slash at its end is that of a directory.
        links: the paths below the directory that are to be symbolic links.

    Raises:
        Refused: it is outside of the directory, behind one of the links, or no name at all.
    """
    path = name.removesuffix(b"/")
    if b"\0" in path:
        raise Refused("its name has a zero byte in it, and no file's has")
    if path.startswith(b"/"):
        raise Refused("its name is absolute, and would leave the directory")
    parts = path.split(b"/")
    if b".." in parts:
        raise Refused("its name has .. in it, and could leave the directory")
    if b"" in parts or b"." in parts:
        raise Refused("a part of its name is empty or a dot, and no file's is")
    for count in range(1, len(parts)):
        if (link := b"/".join(parts[:count])) in links:
            raise Refused(f"it is behind {link.decode(errors='backslashreplace')}, a link of the same archive")
    return path
