"""SAM, SAM-HQ and SAM 2 from tiny configs with random weights, in folders as on the hub."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.support.tiny_sam import LOW, SIDE, draw_weights, hiera_settings, video_settings, vit_settings


@pytest.fixture(scope="session")
def transformers():
    return pytest.importorskip("transformers", reason="SAM models need the extra `sam`")


@pytest.fixture(scope="session")
def tiny_sam(transformers, tmp_path_factory):
    """Kind -> the library's model and processor, and the folder with its weights."""
    root = tmp_path_factory.mktemp("sam")
    rows = {
        "sam": ("Sam", vit_settings()),
        "sam_hq": ("SamHQ", vit_settings(vit_dim=32)),
        "sam2": ("Sam2", hiera_settings()),
        "sam2_video": ("Sam2Video", video_settings()),
    }
    made = {}
    for kind, (prefix, settings) in rows.items():
        config = getattr(transformers, f"{prefix}Config")(**settings)
        model = getattr(transformers, f"{prefix}Model")(config).eval()
        draw_weights(model, seed=len(made))
        model.save_pretrained(root / kind)
        made[kind] = SimpleNamespace(
            model=model, folder=root / kind, processor=_processor(transformers, prefix)
        )
    return made


def _processor(transformers, prefix):
    """The library's own; SAM 2's shares the one of SAM for what it takes of it, as its own needs torchvision."""
    # The one of several that works without torchvision, in releases 5 and in releases 4.
    of_pillow = getattr(transformers, "SamImageProcessorPil", None) or transformers.SamImageProcessor
    pictures = of_pillow(
        size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE}, mask_size={"longest_edge": LOW}
    )
    if prefix.startswith("Sam2"):
        return transformers.Sam2Processor(image_processor=pictures, target_size=SIDE)
    return getattr(transformers, f"{prefix}Processor")(image_processor=pictures)


@pytest.fixture(scope="session")
def frame_of():
    """Function (wh, seed) -> (h, w, 3) uint8 frame with smooth and with hard parts."""

    def make(wh, seed=0):
        rng = np.random.default_rng(seed)
        w, h = wh
        y, x = np.mgrid[:h, :w]
        waves = [np.sin(x * rng.uniform(0.05, 0.5) + y * rng.uniform(0.05, 0.5)) for _ in range(3)]
        frame = (
            (127 + 80 * np.stack(waves, axis=-1) + rng.uniform(-40, 40, (h, w, 3)))
            .clip(0, 255)
            .astype(np.uint8)
        )
        frame[h // 4 : h // 2, w // 4 : w // 2] = rng.integers(0, 256, 3)
        return frame

    return make
