"""Which uploads meet which faults: decided from a seed, before anything is sent."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.fault_cases import OBJECT, PART_BYTES, Case

MOST_BYTES = 30_000_000
# Below this the rules take a body for a probe.
LEAST_SMALL_BYTES = 4_096
# Three parts of the full size and more: what the rules call part 2 or the fourth request is there.
LEAST_LARGE_BYTES = 3 * PART_BYTES + 1
SHARE_OF_NONE, SHARE_OF_SEVERAL = 0.05, 0.2
SHARE_OF_OWN_CLIENTS = 0.1


@dataclass(frozen=True, slots=True)
class Planned:
    """One upload. offset_bytes says where its bytes begin in a pool of random ones."""

    number: int
    cases: tuple[Case, ...]
    size_bytes: int
    offset_bytes: int
    source: Literal["file", "buffer", "stream"]
    has_own_client: bool
    is_resumed: bool
    """If something of it is kept, the same is put again."""

    @property
    def key(self) -> str:
        return f"upload-{self.number}"

    @property
    def title(self) -> str:
        """The fault's name in the table."""
        if len(self.cases) > 1:
            return "(several at once)"
        return self.cases[0].name if self.cases else "(none)"

    @property
    def outcomes(self) -> frozenset[str]:
        """What it may come to."""
        if not self.cases:
            return frozenset([OBJECT])
        if len(self.cases) > 1:  # each alone heals; together they may use up the patience
            return frozenset([OBJECT, "StoreError", "EndpointError", "IntegrityError", "CredentialsError"])
        return self.cases[0].expected[self.size].outcomes

    @property
    def size(self) -> str:
        return "large" if self.size_bytes > PART_BYTES else "small"

    @property
    def orphans(self) -> int:
        """Uploads that may be left without anybody knowing of them."""
        return sum(case.expected[self.size].orphans for case in self.cases if self.size in case.expected)

    def __str__(self) -> str:
        names = "+".join(case.name for case in self.cases) or "no fault"
        return f"upload {self.number} ({names}, {self.size_bytes:,} bytes, {self.source})"


def plan(cases: Sequence[Case], count: int, seed: int) -> list[Planned]:
    """The same for the same seed and cases."""
    chance = random.Random(seed)
    mixable = [case for case in cases if _is_mixable(case)]
    return [_one(chance, number, cases, mixable) for number in range(count)]


def _is_mixable(case: Case) -> bool:
    """Its rules are all there is to it, and alone it does no harm in the end."""
    return case.is_hopeful and not (case.network or case.has_renewed_credentials or case.client or case.put)


def _one(chance: random.Random, number: int, cases: Sequence[Case], mixable: Sequence[Case]) -> Planned:
    drawn = chance.random()
    chosen: tuple[Case, ...]
    if drawn < SHARE_OF_NONE:
        chosen, size_bytes = (), _any_size(chance)
    elif drawn < SHARE_OF_NONE + SHARE_OF_SEVERAL:
        chosen, size_bytes = tuple(chance.sample(mixable, chance.choice((2, 2, 3)))), _any_size(chance)
    else:
        case = chance.choice(cases)
        chosen = (case,)
        if chance.choice(sorted(case.expected)) == "large":
            size_bytes = chance.randint(LEAST_LARGE_BYTES, MOST_BYTES)
        else:
            size_bytes = int(LEAST_SMALL_BYTES * (PART_BYTES / LEAST_SMALL_BYTES) ** chance.random())
    is_alone = any(case.network or case.client or case.has_renewed_credentials for case in chosen)
    # A source without a length can't tell in advance that it is small; the rules for small objects still fit.
    source: Literal["file", "buffer", "stream"] = chance.choice(("file", "file", "file", "buffer", "stream"))
    return Planned(
        number=number,
        cases=chosen,
        size_bytes=size_bytes,
        offset_bytes=chance.randrange(1 << 20),
        source=source,
        has_own_client=is_alone or chance.random() < SHARE_OF_OWN_CLIENTS,
        is_resumed=chance.random() < 0.5,
    )


def _any_size(chance: random.Random) -> int:
    """Nothing, a little, a lot: each often enough."""
    return chance.choice((0, chance.randint(1, 100_000), chance.randint(100_000, PART_BYTES),
                          chance.randint(PART_BYTES, MOST_BYTES)))  # fmt: skip
