"""An S3 server on the loopback, for tests: moto keeps the objects in memory."""

from __future__ import annotations

import atexit
import functools
import os
import urllib.request
from collections.abc import Iterator
from unittest import mock

import pytest


@functools.cache
def _address() -> tuple[str, int]:
    """Of the one server of this process, which starts with the first test that needs it."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    server.start()
    atexit.register(server.stop)
    return server.get_host_and_port()


def object_store() -> Iterator[str]:
    """Yield the URL of an empty bucket; other processes also find it by the environment."""
    pytest.importorskip("s3fs")
    import s3fs

    host, port = _address()
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
