"""What commands say about states."""

from dataclasses import replace

from pointtrack.cli.states import StateTally, state_options
from pointtrack.states.stream import StateOptions
from tests.support.states import some_tracks


def said(pieces, capsys) -> str:
    tally = StateTally()
    for piece in pieces:
        tally.add(piece)
    tally.print()
    return capsys.readouterr().out


def test_shares_are_those_of_all_pieces_together(capsys):
    tracks = some_tracks(8, (0, 1, 5))
    whole = said([tracks], capsys)
    assert said([tracks.clip(0, 3), tracks.clip(3, 3), tracks.clip(3)], capsys) == whole
    state = tracks.states.state
    words = ["not tracked", "visible", "hidden", "out of frame", "lost"]
    shares = [f"{100 * (state == number).float().mean():.0f} % {word}" for number, word in enumerate(words)]
    times = int(tracks.states.times_redetected.amax(dim=0).sum())
    assert times > 0 and whole == f"states    {', '.join(shares)}; found again {times} times\n"


def test_without_states_it_says_how_many_are_visible(capsys):
    tracks = replace(some_tracks(8, (0, 1, 5)), states=None)
    whole = said([tracks], capsys)
    assert said([tracks.clip(0, 3), tracks.clip(3), tracks.clip(0, 0)], capsys) == whole
    known, visible = tracks.tracked(), tracks.visible()
    share = f"{100 * visible[known].float().mean():.0f} %"
    assert whole == f"visible   {share} of all positions; on the last frame {visible[-1].sum()} of 3 points\n"


def test_nothing_is_said_where_there_is_nothing(capsys):
    tracks = some_tracks()
    assert said([tracks.clip(0, 0), tracks.select([])], capsys) == ""


def test_options():
    assert state_options(False, False) is None
    assert state_options(True, False) == StateOptions() != state_options(True, True)
    assert state_options(False, True) == StateOptions(redetect=True)
