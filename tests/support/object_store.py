"""An S3 server on the loopback, for tests: moto keeps the objects in memory."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from unittest import mock

import pytest


def object_store() -> Iterator[str]:
    """Start the server, and yield the URL of an empty bucket; other processes also find it by the environment."""
    pytest.importorskip("s3fs")
    server_of = pytest.importorskip("moto.server")
    import s3fs

    server = server_of.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with mock.patch.dict(os.environ, environment):
        s3fs.S3FileSystem.clear_instance_cache()
        urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST"))
        s3fs.S3FileSystem().mkdir("clips")
        yield "s3://clips"
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()
