"""What can go wrong for a user: one class a kind, each with the exit code that the command line ends with."""


class KdflowError(Exception):
    """A failure with a one-line message that says what to do about it."""

    exit_code = 1


class DivergedError(KdflowError):
    """A loss is no longer finite; going on would end the same way."""


class UsageError(KdflowError):
    """An option has a value that it cannot have."""

    exit_code = 2


class DataError(KdflowError):
    """A data set is missing, damaged or not what it should be."""

    exit_code = 3


class TeacherError(KdflowError):
    """The teacher cannot be found, or does not fit the student's data."""

    exit_code = 3


class TrackingError(KdflowError):
    """The MLflow store cannot be used."""

    exit_code = 4
