"""The address of the store, and the file of one that is a sqlite file."""

import re
from pathlib import Path

import mlflow
from sqlalchemy import make_url


def sqlite_file() -> Path | None:
    """The file of a sqlite store; None if the store is something else."""
    address = make_url(uri()) if uri().startswith("sqlite:") else None
    return Path(address.database) if address and address.database else None


def uri() -> str:
    """The store's address."""
    return plain_address(mlflow.get_tracking_uri())


def plain_address(address: str) -> str:
    """The address of a sqlite file with its path as it is: MLflow would make folders by the name that it reads.

    Only what sqlalchemy would take for something else stays quoted.
    """
    url = make_url(address) if address.startswith("sqlite:///") else None
    if url is None or not url.database:
        return address
    path = re.sub("%(?=[0-9A-Fa-f]{2})", "%25", url.database).replace("?", "%3F")
    return f"sqlite:///{path}{address[address.find('?') :] if url.query else ''}"
