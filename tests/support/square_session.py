"""A session on two moving squares, with exact tracks and a segmenter that sees colours, and how tests speak to it."""

from pointtrack.sessions.object_session import ObjectSession
from tests.support.exact import TRACKER
from tests.support.scenes import ColourSegmenter, squares

FRAMES = 14
SCENE = squares(
    [[(2 + 3 * t, 4 + t) for t in range(FRAMES)], [(60 - 3 * t, 38 - t // 2) for t in range(FRAMES)]]
)
H, W = 60, 80


def new_session(**options) -> ObjectSession:
    segmenter = ColourSegmenter()
    segmenter.answers = (1,)  # the square that was clicked
    return ObjectSession(SCENE.video, tracker=TRACKER, segmenter=segmenter, cuts=(), **options)


def centre(frame: int, square: int) -> list[float]:
    return SCENE.truth[frame, square].nonzero().float().mean(0).flip(0).tolist()


def click(session: ObjectSession, number: int, frame: int, square: int, **options):
    return session.prompt(number, frame, points=[centre(frame, square)], **options)


def counted(session: ObjectSession) -> list[int]:
    """Frames that are segmented from now on."""
    frames: list[int] = []
    walk = session.engine.walk

    def counting(video, known, span, cuts=()):
        for frame, found in zip(span, walk(video, known, span, cuts), strict=False):
            frames.append(frame)
            yield found

    session.engine.walk = counting
    return frames
