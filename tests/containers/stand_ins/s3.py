"""An emulated S3 store on port 8333, with the bucket S3_BUCKET and a page that says that it is well."""

import os
import threading
from collections.abc import Iterable
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

store = DomainDispatcherApplication(create_backend_app)


def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/healthz":
        start_response("200 OK", [])
        return []
    return store(environ, start_response)


server = make_server("0.0.0.0", 8333, answer, threaded=True)
threading.Thread(target=server.serve_forever).start()
client = boto3.client("s3", endpoint_url="http://127.0.0.1:8333", region_name="us-east-1")
client.create_bucket(Bucket=os.environ["S3_BUCKET"])
