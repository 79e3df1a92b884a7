"""What can go wrong for a user: one class a kind, each with the exit code that the command line ends with."""

from collections.abc import Sequence


class KdflowError(Exception):
    """A failure with a one-line message that says what to do about it."""

    exit_code = 1


class DivergedError(KdflowError):
    """A loss is no longer finite; going on would end the same way."""


class UsageError(KdflowError):
    """An option has a value that it cannot have."""

    exit_code = 2


class Problems(KdflowError):
    """Several things are wrong; the exit code is that of the first.

    Args:
        errors: What each of them says.
    """

    def __init__(self, errors: Sequence[KdflowError]) -> None:
        super().__init__("; ".join(map(str, errors)))
        self.errors = tuple(errors)
        self.exit_code = errors[0].exit_code


def raise_all(errors: Sequence[KdflowError]) -> None:
    """Raises what is wrong, if anything is: the one error, or `Problems` of several."""
    if len(errors) > 1:
        raise Problems(errors)
    for error in errors:
        raise error


class DataError(KdflowError):
    """A data set is missing, damaged or not what it should be."""

    exit_code = 3


class TeacherError(KdflowError):
    """The teacher cannot be found, or does not fit the student's data."""

    exit_code = 3


class ModelError(KdflowError):
    """A trained model that is to be used cannot be found, or not be read safely."""

    exit_code = 3


class TrackingError(KdflowError):
    """The MLflow store cannot be used."""

    exit_code = 4


class UnforeseenError(KdflowError):
    """A failure that nobody thought of; it is told by its type.

    Args:
        error: What was raised.
    """

    def __init__(self, error: BaseException) -> None:
        name, said = type(error).__name__, str(error)
        super().__init__(f"{name}: {said}" if said else name)
        for note in getattr(error, "__notes__", []):
            self.add_note(note)
