"""Print csrc/crc_constants.h: every folding and reduction constant, from first principles.

Usage: python csrc/gen_constants.py > csrc/crc_constants.h

Polynomials over GF(2) are plain Python integers here, bit i being the coefficient of x^i.
Both CRCs are bit-reflected: the kernels hold a polynomial in a register so that bit i of
64 stands for x^(63 - i).  csrc/crc_fold.h explains how each constant is used.
"""

from dataclasses import dataclass

# The folding distances, each twice the one before; the kernels index them by log2(bytes / 16).
FOLD_BYTES = [16 << i for i in range(6)]

# Lengths that between them take every path of every kernel: below a lane, with and without
# remaining bytes, one vector and eight of each width, one turn of each main loop and two,
# short and long streams, stretches of streams beside folding with each width.
KNOWN_ANSWER_BYTES = [
    *(0, 1, 7, 9, 15, 16, 17, 31, 32, 47, 63, 64, 79, 127, 128, 129, 143, 191, 255, 256, 300),
    *(511, 512, 513, 591, 767, 768, 1023, 1024, 1111, 1536, 2047, 20543, 20544, 21999),
    *(34367, 34368, 48191, 48192, 130623, 130624, 131072),
]


@dataclass(frozen=True)
class Crc:
    """A CRC by its generator polynomial without the leading term, most significant bit first."""

    name: str
    width_bits: int
    poly: int

    @property
    def generator(self) -> int:
        """The generator polynomial P with its leading term."""
        return 1 << self.width_bits | self.poly


CRCS = [
    Crc("CRC64NVME", 64, 0xAD93D23594C93659),
    Crc("CRC32C", 32, 0x1EDC6F41),
]


def divmod2(a: int, p: int) -> tuple[int, int]:
    """Quotient and remainder of the carry-less division of a by p."""
    quotient = 0
    while (shift := a.bit_length() - p.bit_length()) >= 0:
        quotient |= 1 << shift
        a ^= p << shift
    return quotient, a


def reflect(a: int, width_bits: int) -> int:
    """Reverse the order of the bits of a."""
    return int(f"{a:0{width_bits}b}"[::-1], 2)


def x_power(exponent: int, crc: Crc) -> int:
    """Compute x^exponent mod P as a reflected 64-bit register."""
    return reflect(divmod2(1 << exponent, crc.generator)[1], 64)


def x_byte_power_table(crc: Crc) -> list[int]:
    """Compute x^(8 * 2^k) mod P for k = 0..63, reflected in the width of the CRC."""
    power = 1 << 8
    table = []
    for _ in range(64):
        power = divmod2(power, crc.generator)[1]
        table.append(reflect(power, crc.width_bits))
        # Squaring over GF(2) spreads the bits: (sum x^i)^2 = sum x^(2i).
        power = int("0".join(f"{power:b}"), 2)
    return table


def fold_pair(distance_bytes: int, crc: Crc) -> tuple[int, int]:
    """Return the factors that move the low and the high half of a 128-bit lane forwards."""
    bits = 8 * distance_bytes
    return x_power(bits + 63, crc), x_power(bits - 1, crc)


def braced(values: list[int], digits: int, per_line: int) -> str:
    """Format a C initialiser, some values a line."""
    words = [f"0x{value:0{digits}x}u" for value in values]
    lines = [", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line)]
    return ", \\\n    ".join(lines)


def crcs_by_definition(data: bytes, crc: Crc) -> list[int]:
    """Compute the CRC of each prefix of the data bit by bit."""
    ones = (1 << crc.width_bits) - 1
    poly = reflect(crc.poly, crc.width_bits)
    state = ones
    out = [state ^ ones]
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (poly if state & 1 else 0)
        out.append(state ^ ones)
    return out


def known_answer_data(length_bytes: int) -> bytes:
    """Return the bytes that csrc/crc_dispatch.c fills its buffer with."""
    out = bytearray()
    seed = 1
    for _ in range(length_bytes):
        seed = (seed * 1664525 + 1013904223) % 2**32
        out.append(seed >> 24)
    return bytes(out)


def header() -> str:
    """Return the whole text of crc_constants.h."""
    out = [
        "/* Written by csrc/gen_constants.py, which explains each constant: do not edit. */",
        "#ifndef FP_CRC_CONSTANTS_H",
        "#define FP_CRC_CONSTANTS_H",
    ]
    for crc in CRCS:
        digits = crc.width_bits // 4
        out += [
            "",
            "/* The generator polynomial, bit-reflected, without its leading term. */",
            f"#define FP_{crc.name}_POLY 0x{reflect(crc.poly, crc.width_bits):0{digits}x}u",
            "",
            "/* {x^(8n + 63), x^(8n - 1)} mod P for folding forwards by n bytes. */",
        ]
        for n_bytes in FOLD_BYTES:
            low, high = fold_pair(n_bytes, crc)
            out.append(f"#define FP_{crc.name}_FOLD_{n_bytes} {{0x{low:016x}u, 0x{high:016x}u}}")
        out += [
            "",
            "/* x^(8 * 2^k) mod P for k = 0..63, in the CRC's own reflected form. */",
            f"#define FP_{crc.name}_X8_POWERS {{ \\",
            f"    {braced(x_byte_power_table(crc), digits, 4 if digits == 8 else 3)}}}",
        ]
        if crc.width_bits == 64:
            # Barrett: floor(x^128 / P) without its x^0 term, and P without its x^0 term; both
            # have 65 bits, and a register in which bit i stands for x^(64 - i) holds the rest.
            mu = divmod2(1 << 128, crc.generator)[0]
            out += [
                "",
                "/* x^127 mod P, and the two factors of the Barrett reduction. */",
                f"#define FP_{crc.name}_X127 0x{x_power(127, crc):016x}u",
                f"#define FP_{crc.name}_BARRETT_MU 0x{reflect(mu >> 1, 64):016x}u",
                f"#define FP_{crc.name}_BARRETT_P 0x{reflect(crc.generator >> 1, 64):016x}u",
            ]
    data = known_answer_data(max(KNOWN_ANSWER_BYTES))
    answers = zip(*(crcs_by_definition(data, crc) for crc in CRCS), strict=True)
    rows = [
        f"    {{{n_bytes}, 0x{crc64:016x}u, 0x{crc32:08x}u}}"
        for n_bytes, (crc64, crc32) in enumerate(answers)
        if n_bytes in KNOWN_ANSWER_BYTES
    ]
    out += [
        "",
        "/* {length in bytes, CRC-64/NVME, CRC-32C} of the self-test's data. */",
        f"#define FP_CRC_KNOWN_ANSWER_MAX_BYTES {max(KNOWN_ANSWER_BYTES)}",
        "#define FP_CRC_KNOWN_ANSWERS { \\",
        ", \\\n".join(rows) + "}",
        "",
        "#endif",
    ]
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    print(header(), end="")
