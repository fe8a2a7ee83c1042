"""Trackers in repositories of the Hugging Face hub: `from_pretrained`, `save_pretrained`, `push_to_hub`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, hf_hub_download

from pointtrack.models.checkpoint import save_checkpoint

FILE = "model.safetensors"
CARD = """\
---
{{ card_data }}
---

# A point tracker of pointtrack

```python
import pointtrack as pt

tracker = pt.Tracker.from_pretrained("OWNER/NAME")
tracks = tracker.track("video.mp4", [(0, 120, 80)])    # rows of (frame, x, y)
```

{{ network | default("", true) }}
"""


class HubModel(
    ModelHubMixin,
    library_name="pointtrack",
    tags=["point-tracking", "video", "tracking-any-point"],
    pipeline_tag="keypoint-detection",
    model_card_template=CARD,
):
    """The part of `Tracker` that comes from huggingface_hub's mixin. It stores `network` in one weights file."""

    network: Any

    def _save_pretrained(self, save_directory: Path) -> None:
        save_checkpoint(save_directory / FILE, self.network, half=False)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> Any:
        """The card, with the licence of the weights and a description of the network."""
        config = self.network.config
        about = f"Network: {config.name}, under {config.licence}."
        card = super().generate_model_card(*args, network=about, **kwargs)
        data: Any = card.data
        data.license = {"Apache-2.0": "apache-2.0", "MIT": "mit"}.get(config.licence, "other")
        if data.license == "other":
            data.license_name = config.licence
        return card

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        name: Any = None,  # saved with the settings: what that tracker was loaded from, not the file here
        **settings: Any,
    ) -> Any:
        path = Path(model_id) / FILE
        if not path.is_file():
            path = Path(
                hf_hub_download(
                    model_id,
                    FILE,
                    revision=revision,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    local_files_only=local_files_only,
                    token=token,
                )
            )
        make: Any = cls
        return make(path, **settings)
