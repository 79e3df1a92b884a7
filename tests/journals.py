"""What tests ask of a journal."""

from kdflow.journal.journal import Journal


def key_of(journal: Journal, name: str) -> str:
    """The key of the one run that is shown under a name that begins so."""
    (found,) = [
        entry["run"] for entry in journal.entries if entry["kind"] == "create" and entry["name"].startswith(name)
    ]
    return str(found)
