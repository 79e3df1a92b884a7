"""Seeds of independent streams of chance."""

import hashlib


def derive_seed(*parts: object) -> int:
    """A 63-bit seed for each different sequence of parts, such as (seed, epoch, "order")."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
