"""Copies the sound of a video to another one made from its frames."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import av

log = logging.getLogger(__name__)

# The codecs that a file may hold; .mkv holds all.
HOLDS = {
    ".mp4": ("aac", "mp3", "ac3", "eac3", "alac"),
    ".m4v": ("aac", "mp3", "ac3", "eac3", "alac"),
    ".mov": ("aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le"),
    ".webm": ("opus", "vorbis"),
}


def copy_sound(source: str | Path, target: str | Path, start: float = 0.0) -> bool:
    """Copy the sound of one video into another, without re-encoding sound or pictures.

    Args:
        source: the video to take the sound from; a folder of pictures has none.
        target: the video to put it into, if its file format can hold it.
        start: second of the source that the first frame of the target shows.

    Returns:
        True if the target has sound now. If the sound cannot be copied, a warning says so and the target stays as
        it is.
    """
    source, target = Path(source), Path(target)
    if not source.is_file() or target.suffix.lower() == ".gif":
        return False
    part = target.with_name(f".{target.stem}.sound{target.suffix}")
    try:
        with av.open(str(source)) as heard, av.open(str(target)) as seen:
            known = HOLDS.get(target.suffix.lower())
            sounds = [
                s
                for s in heard.streams.audio
                if known is None or s.codec_context.codec.canonical_name in known
            ]
            if not sounds:
                return False
            length = float(seen.duration or 0) / av.time_base
            with av.open(str(part), "w") as joined:
                picture, sound = seen.streams.video[0], sounds[0]
                outputs: dict[Any, Any] = {
                    picture: joined.add_stream_from_template(picture),
                    sound: joined.add_stream_from_template(sound),
                }
                packets = [*_packets(seen, picture), *_packets(heard, sound)]
                begin = float(
                    (heard.streams.video[0].start_time or 0) * (heard.streams.video[0].time_base or 0)
                )
                for packet in sorted(packets, key=lambda one: float(one.dts * one.time_base)):
                    if packet.stream is sound:
                        shift = round((begin + start) / packet.time_base)
                        packet.dts, packet.pts = packet.dts - shift, packet.pts - shift
                        if packet.dts < 0 or (length and float(packet.dts * packet.time_base) > length):
                            continue
                    packet.stream = outputs[packet.stream]
                    joined.mux(packet)
        part.replace(target)
    except (av.FFmpegError, ValueError) as error:  # a video without sound is better than none
        log.warning("sound: left out of %s, as it cannot be copied (%s)", target.name, error)
        return False
    finally:
        part.unlink(missing_ok=True)
    return True


def _packets(container: Any, stream: Any) -> list[Any]:
    """All packets of a stream, each with a decoding time.

    Matroska has none for frames that depend on later ones. They get the sorted display times, moved early enough
    that no frame is shown before it is decoded.

    Raises:
        ValueError: packets without any time.
    """
    packets = [packet for packet in container.demux(stream) if packet.size > 0]
    if any(packet.dts is None for packet in packets):
        if any(packet.pts is None for packet in packets):
            raise ValueError("expected packets with times, got some without")
        shown = sorted(packet.pts for packet in packets)
        early = max(time - packet.pts for time, packet in zip(shown, packets, strict=True))
        for time, packet in zip(shown, packets, strict=True):
            packet.dts = time - early
    return packets
