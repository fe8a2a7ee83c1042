"""Checks the arrays in a tracks.npz: shapes, types, values, and whether they fit the video."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pointtrack.datasets.clip import VOID
from pointtrack.datasets.findings import Finding, warning
from pointtrack.datasets.format import INFO, NEEDED_ARRAYS, OPTIONAL_ARRAYS, TRACKS, read_info, read_tracks
from pointtrack.datasets.validate_pixels import ENOUGH, compare_looks
from pointtrack.io.outside import read_arrays

BEYOND_PX = 1.0  # allowance for annotators' hands and rounding
LARGE_SHARE = 0.05
LOOKED_AT = 4000  # most points of a clip to check; sets of long videos have tens of thousands
MOSTLY_HIDDEN = 0.3
STAYS = 0.8  # true tracks of synthetic, warped and rendered clips gave 0.07 to 0.56
FOREIGN = {"trajs_2d", "visibs", "visibilities", "coords", "visibility", "points", "occluded", "tracks"}


def load_arrays(path: Path) -> tuple[dict[str, np.ndarray], list[Finding]]:
    """The arrays of a tracks.npz; none if the file cannot be used at all."""
    try:
        arrays = read_arrays(path, "an .npz of arrays")
    except (ValueError, OSError) as error:
        return {}, [Finding("broken-tracks", f"{path.name}: expected an .npz of arrays, but {error}")]
    lacks = [name for name in NEEDED_ARRAYS if name not in arrays]
    others = sorted(set(arrays) - {*NEEDED_ARRAYS, *OPTIONAL_ARRAYS})
    if lacks:
        advice = "convert sets of other layouts with `pointtrack data convert`"
        advice = (
            advice if FOREIGN & set(others) else "write them with pointtrack.datasets.format.write_tracks"
        )
        return {}, [
            Finding(
                "missing-arrays",
                f"{path.name}: expected the arrays xy and visible, but it lacks {', '.join(lacks)} "
                f"(it has {', '.join(sorted(arrays)) or 'none'}); {advice}",
            )
        ]
    if others:
        text = f"{path.name}: expected no arrays besides {', '.join((*NEEDED_ARRAYS, *OPTIONAL_ARRAYS))}"
        return arrays, [warning("unknown-arrays", f"{text}, got {', '.join(others)}; they are not read")]
    return arrays, []


def check_shapes(arrays: Mapping[str, np.ndarray], frames: int) -> list[Finding]:
    """Check shapes and types. After an error here, the other checks cannot run."""
    xy = arrays["xy"]
    if xy.ndim != 3 or xy.shape[2] != 2 or xy.dtype.kind not in "fiu":
        places = [axis for axis, size in enumerate(xy.shape) if size == 2]
        hint = (
            "np.moveaxis brings the axis of (x, y) to the end" if xy.ndim == 3 and places else "reshape them"
        )
        return [
            Finding(
                "xy-shape",
                f"xy: expected numbers of shape (frames, points, 2), got {xy.dtype} of {xy.shape}; {hint}",
            )
        ]
    if xy.shape[0] != frames:
        return [_wrong_length(xy, frames)]
    findings = []
    n = xy.shape[1]
    for name in ("visible", "valid"):
        if name not in arrays:
            continue
        flag = arrays[name]
        if flag.shape != (frames, n):
            turned = flag.shape == (n, frames)
            findings.append(
                Finding(
                    "axes-swapped" if turned else f"{name}-shape",
                    f"{name}: expected shape (frames, points) = ({frames}, {n}) as xy has, got {flag.shape}"
                    + (
                        f"; frames and points look swapped: save {name}.T"
                        if turned
                        else "; one flag per position"
                    ),
                )
            )
        elif flag.dtype != np.bool_:
            findings.append(_wrong_type(name, flag))
    for name in ("ids", "object_ids", "query_frame"):
        if name in arrays and (arrays[name].shape != (n,) or arrays[name].dtype.kind not in "iu"):
            got = arrays[name]
            text = f"{name}: expected whole numbers of shape ({n},), one per point, got {got.dtype} of {got.shape}"
            findings.append(Finding(f"{name.replace('_', '-')}-shape", text))
    return findings


def check_values(arrays: Mapping[str, np.ndarray], wh: tuple[int, int]) -> list[Finding]:
    """Check the numbers by themselves, for arrays of the right shapes."""
    xy, visible = arrays["xy"], arrays["visible"]
    finite = np.isfinite(xy).all(axis=2)
    valid = arrays.get("valid", finite)
    findings = [*_check_finite(visible, valid, finite, "valid" in arrays), *_check_points(arrays)]
    known = valid & finite
    if not known.any():
        return [*findings, warning("nothing-known", "tracks: expected known positions, got none at all")]
    if not visible.any():
        text = "visible: expected points that are visible somewhere, got none at all; is it inverted?"
        return [*findings, Finding("nothing-visible", text)]
    few = slice(None, None, -(-xy.shape[1] // LOOKED_AT))
    xy, visible, known = xy[:, few].astype(float), visible[:, few], known[:, few]
    units = _check_units(xy[known], wh) if known.any() else []
    return [*findings, *(units or _check_places(xy, visible & known, known, wh))]


def check_looks(arrays: Mapping[str, np.ndarray], pictures: dict[int, np.ndarray]) -> list[Finding]:
    """Check whether points keep their appearance where they are marked visible; see `compare_looks`."""
    xy, visible = arrays["xy"], arrays["visible"]
    valid = arrays.get("valid", np.isfinite(xy).all(axis=2))
    appearance = compare_looks(pictures, xy, visible, valid)
    if appearance.visible > 1.5 * appearance.hidden:
        return [
            Finding(
                "inverted",
                "visible: expected visible points to keep their looks better than hidden ones, got a change of "
                f"{appearance.visible:.1f} grey levels where visible and {appearance.hidden:.1f} where hidden; "
                "it looks inverted: save ~visible",
            )
        ]
    # Not the smaller change of the two: places off a thing, on a wall, hardly change whatever passes elsewhere.
    taken = appearance.moved < STAYS * appearance.left_behind
    if not taken and appearance.swapped < STAYS * appearance.swapped_left_behind:
        return [
            Finding(
                "xy-swapped",
                f"xy: expected points to take their looks along, but they change by {appearance.moved:.1f} grey levels, "
                f"and the place they leave by {appearance.left_behind:.1f}; with x and y exchanged by "
                f"{appearance.swapped:.1f} and {appearance.swapped_left_behind:.1f}; they look swapped: save "
                "xy[..., ::-1]",
            )
        ]
    if appearance.moved > STAYS * appearance.left_behind:
        return [
            warning(
                "off-picture",
                f"xy: expected points to take their looks along, but they change by {appearance.moved:.1f} grey levels, "
                f"and the place they leave by {appearance.left_behind:.1f}; do frames and tracks begin together, in "
                "the same size, and is neither mirrored?",
            )
        ]
    return []


def check_objects(arrays: Mapping[str, np.ndarray], labels: Mapping[int, np.ndarray]) -> list[Finding]:
    """Check whether visible points lie on the object that object_ids gives them; labels: frame -> (h, w)."""
    owner = arrays.get("object_ids")
    if owner is None or not labels:
        return []
    wrong = total = 0
    for frame, picture in labels.items():
        at = np.rint(np.nan_to_num(arrays["xy"][frame].astype(float))).astype(int)
        column, row = np.clip(at, 0, np.array(picture.shape[::-1]) - 1).T
        seen = arrays["visible"][frame] & (owner >= 0) & (picture[row, column] != VOID)
        total += int(seen.sum())
        wrong += int((seen & (picture[row, column] != owner)).sum())
    if total < ENOUGH or wrong < 0.3 * total:
        return []
    return [
        Finding(
            "object-ids",
            f"object_ids: expected visible points to lie on their objects, got {wrong / total:.0%} on others than "
            f"the masks show there ({total} looked at); number objects as the masks do, or leave object_ids out",
        )
    ]


def _wrong_length(xy: np.ndarray, frames: int) -> Finding:
    if xy.shape[1] == frames:
        return Finding(
            "axes-swapped",
            f"xy: expected (frames, points, 2) with {frames} frames as the video, got {xy.shape}; "
            "frames and points look swapped: save xy.swapaxes(0, 1), and visible.T",
        )
    return Finding(
        "track-frames",
        f"xy: expected {frames} frames as the video has, got {xy.shape[0]}; "
        "cut the longer one, or find the frames that are missing",
    )


def _wrong_type(name: str, flag: np.ndarray) -> Finding:
    values = np.unique(flag) if flag.dtype.kind in "iuf" else np.zeros(0)
    if len(values) and set(values.tolist()) <= {0, 1}:
        advice = f"save {name}.astype(bool)"
    elif len(values) and values.min() >= 0 and values.max() <= 1:
        advice = f"save {name} > 0.5"
    else:
        advice = "where it says more than yes and no, put what is unknown into valid"
    shown = ", ".join(f"{value:g}" for value in values[:4]) + (", ..." if len(values) > 4 else "")
    return Finding(f"{name}-type", f"{name}: expected bool, got {flag.dtype} ({shown or 'other'}); {advice}")


def _check_finite(visible: np.ndarray, valid: np.ndarray, finite: np.ndarray, given: bool) -> list[Finding]:
    findings = []
    wrong = (valid if given else visible) & ~finite
    if wrong.any():
        frame, point = np.argwhere(wrong)[0]
        what = "valid" if given else "visible"
        findings.append(
            Finding(
                "nan",
                f"xy: expected finite pixels wherever {what}, got NaN or infinity at {int(wrong.sum())} positions, "
                f"the first on frame {frame} for point {point}; mark what is unknown as not visible and not valid",
            )
        )
    unknown = visible & ~valid & finite
    if unknown.any():
        frame, point = np.argwhere(unknown)[0]
        findings.append(
            Finding(
                "visible-unknown",
                f"visible: expected visible positions to be valid, got {int(unknown.sum())} that are not, the first "
                f"on frame {frame} for point {point}; save visible & valid",
            )
        )
    return findings


def _check_points(arrays: Mapping[str, np.ndarray]) -> list[Finding]:
    """Check ids, query frames, and points that are never visible."""
    findings = []
    visible = arrays["visible"]
    n = visible.shape[1]
    if "ids" in arrays:
        values, counts = np.unique(arrays["ids"], return_counts=True)
        if (counts > 1).any():
            twice = values[counts > 1]
            text = f"ids: expected a number of its own for every point, got {twice[0]} {counts.max()} times"
            more = f" and {len(twice) - 1} others more than once" if len(twice) > 1 else ""
            findings.append(
                Finding("duplicate-ids", f"{text}{more}; leave ids out, or number the points anew")
            )
    if "query_frame" in arrays:
        frame = arrays["query_frame"]
        outside = (frame < 0) | (frame >= len(visible))
        hidden = ~outside & ~visible[np.where(outside, 0, frame), np.arange(n)]
        if outside.any() or hidden.any():
            point = int(np.flatnonzero(outside | hidden)[0])
            got = "a frame that does not exist" if outside[point] else "one where it is hidden"
            findings.append(
                Finding(
                    "query",
                    f"query_frame: expected frames in 0..{len(visible) - 1} on which the point is visible, got "
                    f"{frame[point]} for point {point}, {got} ({int((outside | hidden).sum())} in all); "
                    "leave query_frame out to ask on the first visible frame",
                )
            )
    never = int((~visible.any(axis=0)).sum())
    if 0 < never < n:
        text = f"visible: expected every point to show somewhere, got {never} of {n} that never do"
        findings.append(warning("never-visible", f"{text}; they are not asked for"))
    return findings


def _check_units(known_xy: np.ndarray, wh: tuple[int, int]) -> list[Finding]:
    """Find positions in 0..1 or -1..1, even among a few outliers."""
    low, high = np.quantile(known_xy, [0.02, 0.98])
    if min(wh) < 8 or low < -2 or high > 2:
        return []
    form = (
        "xy * (width, height) - 0.5"
        if np.quantile(known_xy, 0.15) >= 0
        else "(xy + 1) / 2 * (width, height) - 0.5"
    )
    return [
        Finding(
            "normalised",
            f"xy: expected pixels of the {wh[0]} x {wh[1]} video, got numbers from {low:.2g} to {high:.2g}; they look "
            f"like shares of the image: save {form}",
        )
    ]


def _check_places(
    xy: np.ndarray, visible: np.ndarray, known: np.ndarray, wh: tuple[int, int]
) -> list[Finding]:
    """Check where visible and hidden points lie."""
    beyond = _beyond(xy, wh)
    outside = known & beyond
    inside = known & ~beyond
    seen_inside = visible[inside].mean() if inside.any() else 1.0
    if outside.sum() >= 10 and visible[outside].mean() > 0.5 > seen_inside:
        return [
            Finding(
                "inverted",
                f"visible: expected points outside the image to be hidden, got {visible[outside].mean():.0%} of them "
                f"visible, and {seen_inside:.0%} of those inside; it looks inverted: save ~visible",
            )
        ]
    share = (visible & beyond).sum() / max(visible.sum(), 1)
    findings = []
    if share > LARGE_SHARE:
        crossed = (visible & _beyond(xy[..., ::-1], wh)).sum() / visible.sum()
        if crossed < share / 5:
            return [
                Finding(
                    "xy-swapped",
                    f"xy: expected visible points inside the {wh[0]} x {wh[1]} image, got {share:.0%} outside, and "
                    f"{crossed:.0%} with x and y exchanged; they look swapped: save xy[..., ::-1]",
                )
            ]
        low, high = np.quantile(xy[visible], [0.01, 0.99], axis=0)
        return [
            Finding(
                "visible-outside",
                f"visible: expected visible points inside the {wh[0]} x {wh[1]} image, got {share:.0%} outside (x from "
                f"{low[0]:.0f} to {high[0]:.0f}, y from {low[1]:.0f} to {high[1]:.0f}); are they pixels of another "
                "size? Scale them, or mark points outside as not visible",
            )
        ]
    if share > 0:
        count = int((visible & beyond).sum())
        text = f"visible: expected visible points inside the image, got {count} positions more than 1 pixel outside"
        findings.append(warning("visible-outside", f"{text}; mark them as not visible"))
    if seen_inside < MOSTLY_HIDDEN:
        text = f"visible: expected most points inside the image to be visible, got {seen_inside:.0%}"
        findings.append(warning("mostly-hidden", f"{text}; is visible inverted?"))
    step_t = _typical_step(xy, known, axis=0)
    step_n = _typical_step(xy, known, axis=1)
    if xy.shape[0] == xy.shape[1] and step_t > 3 * step_n:
        findings.append(
            Finding(
                "axes-swapped",
                f"xy: expected small steps from frame to frame, got {step_t:.1f} pixels, and {step_n:.1f} from point "
                "to point; frames and points look swapped: save xy.swapaxes(0, 1), and visible.T",
            )
        )
    elif step_t > 0.2 * max(wh):
        text = (
            f"xy: expected points to move a little from frame to frame, got {step_t:.0f} pixels at the median"
        )
        findings.append(warning("jumps", f"{text}; are the frames in order, and are all of them there?"))
    return findings


def _beyond(xy: np.ndarray, wh: tuple[int, int]) -> np.ndarray:
    """(t, n) bool: farther outside the image than rounding explains."""
    low, high = -0.5 - BEYOND_PX, np.array(wh) - 0.5 + BEYOND_PX
    return np.any((xy < low) | (xy > high), axis=2)


def _typical_step(xy: np.ndarray, known: np.ndarray, axis: int) -> float:
    """Median distance between neighbours along an axis where both are known; 0 where there are none."""
    both = known[1:] & known[:-1] if axis == 0 else known[:, 1:] & known[:, :-1]
    steps = np.linalg.norm(np.diff(xy, axis=axis), axis=2)[both]
    return float(np.median(steps)) if len(steps) else 0.0


def refuse_wrong_tracks(folder: Path) -> None:
    """Check, without reading pictures, that the tracks of a clip can be trained on and measured on.

    Positions in 0..1, x and y exchanged by what lies outside, or visible points far outside the image give figures that
    mean nothing, such as an AJ of 100.

    Raises:
        FileNotFoundError, ValueError: there are no tracks, or `check_clip` has an error for their numbers; the message says
            what to do.
    """
    _, described = read_info(folder / INFO)
    tracks = read_tracks(folder / TRACKS)
    arrays = {name: getattr(tracks, name).numpy() for name in ("xy", "visible", "valid")}
    wrong = [one for one in check_shapes(arrays, described["frames"]) if one.level == "error"]
    wrong = wrong or [
        one
        for one in check_values(arrays, tuple(described["wh"]))
        if one.level == "error" and one.code != "nothing-visible"  # such clips are left out
    ]
    if wrong:
        raise ValueError(f"{folder}: {wrong[0].text} (`pointtrack data check` says more)")
