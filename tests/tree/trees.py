"""Trees that tests make."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hypothesis import strategies as st

# Bytes below and above "/" (0x2f), which decides how directories sort among files; line ends; what isn't UTF-8.
_NAME_BYTES = [bytes([value]) for value in (*b"a b-.+0!\nZ~#", 0x80, 0xFF)] + ["ü".encode(), "u\u0308".encode()]
names = (
    st.lists(st.sampled_from(_NAME_BYTES), min_size=1, max_size=4)
    .map(b"".join)
    .filter(lambda name: name not in (b".", b".."))
)
files = st.binary(max_size=12)
trees = st.recursive(
    st.dictionaries(names, files, max_size=5),
    lambda below: st.dictionaries(names, st.one_of(files, below), max_size=5),
    max_leaves=30,
)

Tree = Mapping[bytes, "bytes | Tree"]


def make(root: Path | bytes, tree: Tree) -> None:
    """Writes a tree: bytes are files, mappings are directories."""
    place = os.fsencode(root)
    os.makedirs(place, exist_ok=True)
    for name, held in tree.items():
        path = os.path.join(place, name)
        if isinstance(held, bytes):
            with open(path, "wb") as file:
                file.write(held)
        else:
            make(path, held)


def paths(root: Path) -> list[bytes]:
    """Of all files below a root, by os.walk, sorted by their bytes."""
    place = os.fsencode(root)
    found = []
    for directory, _, files_here in os.walk(place):
        found += [os.path.relpath(os.path.join(directory, name), place) for name in files_here]
    return sorted(found)
