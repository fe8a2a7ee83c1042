"""States of runs: whole ones come back, of damaged ones nothing is believed."""

import numpy as np
import pytest
import torch

from pointtrack.io.state_file import moved, read_state, write_state

STATE = {"about": {"video": "a"}, "frames": 8, "x": torch.arange(300.0), "none": None, "list": [(1, "b")]}


def test_they_come_back_also_from_older_versions(tmp_path):
    torch.save(STATE, tmp_path / "old.state")
    for path in (write_state(tmp_path / "new.state", STATE), tmp_path / "old.state"):
        state = read_state(path)
        assert state.pop("x").equal(STATE["x"])
        assert state == {name: value for name, value in STATE.items() if name != "x"}


def test_what_was_one_tensor_stays_one_wherever_it_goes(tmp_path):
    """Groups of points share their features: a state of ten groups is not ten times as large on a GPU."""
    shared = torch.arange(3.0)
    state = {"about": {}, "groups": [{"pieces": [[shared]]}, {"pieces": [[shared], [torch.ones(3)]]}]}
    for groups in (
        moved(state, "meta")["groups"],
        moved(read_state(write_state(tmp_path / "a.state", state)), "cpu")["groups"],
    ):
        (first,), (second,), (other,) = groups[0]["pieces"] + groups[1]["pieces"]
        assert first is second and first is not other


def test_every_kind_of_damage_is_one_line(tmp_path):
    path = write_state(tmp_path / "a.state", STATE)
    content, rng = path.read_bytes(), np.random.default_rng(0)
    damaged = [content[: int(at)] for at in rng.integers(0, len(content), 20)]
    damaged += [
        content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]
        for at in rng.integers(0, len(content), 40).tolist()
    ]
    torch.save([1], tmp_path / "list")
    torch.save({"about": torch.nn.Linear(1, 1)}, tmp_path / "object")
    damaged += [b"", b"PK", b"text", (tmp_path / "list").read_bytes(), (tmp_path / "object").read_bytes()]
    for one in damaged:
        path.write_bytes(one)
        with pytest.raises(ValueError, match=r"a\.state: expected the state of a run") as raised:
            read_state(path)
        assert "\n" not in str(raised.value)
