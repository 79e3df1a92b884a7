"""What `mlflow run` shows to a container of a local store, which is too little to use it."""

from urllib.parse import urlparse

from kdflow.common.errors import TrackingError
from kdflow.tracking.address import uri

SHOWN_AT = "/mlflow/tmp/mlruns"
"""Where MLflow's docker backend mounts the file of a sqlite store, or the folder of a file store."""


def require_whole_store() -> None:
    """Makes sure that not only the file of a store is here, but also the place of its artifacts.

    Of a sqlite store MLflow mounts the file alone, without the folder that sqlite needs beside it, and the artifacts of
    no other run than the first. Whoever may write there loses what else is written when the container ends.

    Raises:
        TrackingError: this is a local store as a container of `mlflow run` sees it.
    """
    if uri().startswith(("sqlite:", "file:")) and "/" + urlparse(uri()).path.lstrip("/") == SHOWN_AT:
        raise TrackingError(
            "`mlflow run` shows a container the file of a local store, but not its artifacts: use a server, as in "
            "`docker compose -f docker/compose.yaml up mlflow`, then "
            "`MLFLOW_TRACKING_URI=http://127.0.0.1:5000 mlflow run docker ... -A network=host`"
        )
