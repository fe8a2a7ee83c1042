"""The thread of a project."""

from __future__ import annotations

import threading
import time

import pytest

from pointtrack.ui.worker import Worker


def test_a_call_while_a_project_is_closed_is_answered(monkeypatch):
    worker = Worker("project")
    worker.start()
    put = worker._calls.put

    def put_late(item):
        if item is not None:  # another thread closes the project between the check and this
            threading.Thread(target=worker.close, daemon=True).start()
            time.sleep(0.3)
        put(item)

    monkeypatch.setattr(worker._calls, "put", put_late)
    assert worker.call(lambda: 3).result(timeout=10) == 3
    worker._thread.join(10)
    with pytest.raises(ValueError, match="expected an open project"):
        worker.call(lambda: 3).result(timeout=10)
