"""Which option may have been meant by a name that there is not."""

from collections.abc import Collection
from difflib import get_close_matches

ROLES = ("teacher", "student")


def variants(name: str, known: Collection[str], *, command: str) -> list[str]:
    """The same option as another command spells it: a study has `alphas` and `teacher_epochs`, others not.

    Args:
        name: With underscores, such as "teacher_epochs".
        known: The options that there are.
        command: Whose options they are, such as "teacher".
    """
    one, own = name.removesuffix("s"), name.removeprefix(f"{command}_")
    spelled = [f"{one}s", one, own, own.removesuffix("s"), *(f"{role}_{name}" for role in ROLES)]
    return list(dict.fromkeys(other for other in spelled if other in known))


def close(name: str, known: Collection[str]) -> list[str]:
    """The option that is written most alike, if one is much alike."""
    return get_close_matches(name, known, n=1, cutoff=0.7)
