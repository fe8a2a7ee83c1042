"""Half precision, on request and if the machine supports it."""

from __future__ import annotations

import logging
import platform
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch

log = logging.getLogger(__name__)

X86_BFLOAT16 = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # functions of torch.cpu


def narrow(device: torch.device, requested: bool) -> AbstractContextManager[object]:
    """bfloat16 for layers if requested; otherwise the surrounding setting stays, which training may use."""
    return torch.autocast(device.type, torch.bfloat16) if requested else nullcontext()


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device is any faster in bfloat16.

    An x86 processor needs AVX512-BF16 or AMX. With AVX-512 alone it takes one and a half times as long as in float32;
    without, as in many laptops, about ten times, because torch then convolves channel by channel.
    """
    if device.type != "cpu":
        return True
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    instructions = (getattr(torch.cpu, name, bool) for name in X86_BFLOAT16)
    fast = not x86 or any(has() for has in instructions)
    return fast and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def usable_precision(requested: str, device: torch.device) -> str:
    """The precision to compute in: the requested one, or float32, with a warning, if it would only be slower."""
    if requested == "bfloat16" and not computes_bfloat16(device):
        _tell_float32()
        return "float32"
    return requested


@cache
def _tell_float32() -> None:
    """Warn that float32 is used, once per process; nothing is lost by it."""
    log.warning("bfloat16: this processor has no instructions for it; float32 is used, which is faster here")
