"""What is other about a run to go on with is said in words."""

import json

import pytest

from pointtrack.io.same_run import check_same_run

KNOWN = {
    "tracker": "small, weights 0123abcd",
    "settings": json.dumps({"window": {"length": 16, "step": 8}, "name": "small"}),
    "points": "9, 89abcdef",
    "states": "none",
    "smooth": "0",
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"points": "4, 89abcdef"}, "points: 9 before, 4 now"),
        ({"points": "9, 00000000"}, "points: not the same, though 9 again"),
        ({"tracker": "joint, weights 99999999"}, "tracker: small before, joint now"),
        ({"states": json.dumps({"redetect": True})}, "states: none before, given now"),
        ({"smooth": "3"}, "smooth: 0 before, 3 now"),
        (
            {"settings": json.dumps({"window": {"length": 16, "step": 4}, "name": "small"})},
            "settings, window.step: 8 before, 4 now",
        ),
        ({"smooth": "1", "points": "4, 00000000"}, "points: 9 before, 4 now; smooth: 0 before, 1 now"),
    ],
)
def test_differences_are_told_without_digests(changes, words):
    with pytest.raises(ValueError) as caught:
        check_same_run(KNOWN, {**KNOWN, **changes}, "a.tracks")
    assert str(caught.value) == (
        f"resume: expected the options of the run in a.tracks, got others: {words}; "
        "run it as before, or anew without resume"
    )


def test_the_same_run_goes_on():
    check_same_run(KNOWN, dict(KNOWN), "a.tracks")
    check_same_run({**KNOWN, "noted by a later version": "x"}, KNOWN, "a.tracks")
