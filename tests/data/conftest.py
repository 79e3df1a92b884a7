"""What the tests of downloads share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kdflow.data.sets import download
from tests.data.server import Server, serving

if TYPE_CHECKING:  # torchvision is for its users only
    from tests.data.mirror import Mirror


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on this machine, which is waited for a fifth of a second at most."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "PATIENCE", 0.2)
    monkeypatch.setattr(download, "PAUSE", 0.01)
    with serving() as running:
        yield running


@pytest.fixture
def mirror(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mirror:
    """CIFAR-10 as a dozen images behind the server, to be downloaded into a folder that does not exist yet."""
    from tests.data.mirror import a_mirror

    return a_mirror(server, monkeypatch, tmp_path / "data", "cifar10")
