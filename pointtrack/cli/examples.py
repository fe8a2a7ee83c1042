"""At least three examples for every command. Its `--help` shows them, and a test parses each."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "track": (
        "pointtrack track dog.mp4                      a grid of 20 x 20 points, into outputs/",
        "pointtrack track dog.mp4 --points 0,120,80 10,300,210 --export csv,nuke",
        "pointtrack track dog.mp4 --queries points.csv --redetect --out results",
        "pointtrack track dog.mp4 --session dog.npz --correct 3:20,131,90    point 3 passes through there",
        "pointtrack track long.mp4 --flat --resume     in constant memory; continues a killed run",
    ),
    "segment": (
        "pointtrack segment dog.mp4 --click 0,120,80            the object under a click on frame 0",
        "pointtrack segment dog.mp4 --box 1:0,90,40,210,160 --click 2:0,300,210 --export coco,davis",
        "pointtrack segment dog.mp4 --mask 0,dog.png --export cutout    the object alone, with alpha",
        "pointtrack segment dog.mp4 --click 0,120,80 --background blur    the dog sharp, everything else blurred",
        "pointtrack segment dog.mp4 --click 0,300,210 --objects pixelate    for privacy: dog_edited.mp4",
        "pointtrack segment dog.mp4 --click 40,150,90 --session dog.npz    continues a session",
    ),
    "ui": (
        "pointtrack ui dog.mp4                 opens a page on this machine",
        "pointtrack ui dog.mp4 --port 8800     on a port of your choice",
        "pointtrack ui                         asks for a video",
    ),
    "live": (
        "pointtrack live 0 --show                            the first camera, in a window",
        "pointtrack live rtsp://camera/stream --serve 8800    a page with the picture",
        "ffmpeg -i dog.mp4 -f mpegts - | pointtrack live - --out out.mp4",
    ),
    "models": (
        "pointtrack models                                all models with licence and purpose",
        "pointtrack models --download alltracker-tiny     fetch one now",
        "pointtrack models --download sam2.1-hiera-tiny",
    ),
    "bench": (
        "pointtrack bench                            on a bundled clip of 854x480",
        "pointtrack bench dog.mp4 --points 400       your video, at its own size",
        "pointtrack bench --device cuda",
    ),
    "demo": (
        "pointtrack demo                   the easy clip",
        "pointtrack demo --clip hard       small, blurred things with sudden turns",
        "pointtrack demo --no-compare      without Lucas-Kanade and DIS",
    ),
    "batch": (
        "pointtrack batch clips --out results --dry-run    what would be done, and how long it would take",
        "pointtrack batch 'clips/**/*.mp4' --out s3://bucket/tracks --grid 10 --format parquet",
        "pointtrack batch videos.csv --out results --shard 0/8    on one of eight machines",
        "pointtrack batch results --status",
    ),
    "convert": (
        "pointtrack convert cotracker3-online online.safetensors",
        "pointtrack convert scaled_online.pth online.safetensors --half",
        "pointtrack convert mine.safetensors smaller.safetensors --half --overwrite",
    ),
    "data check": (
        "pointtrack data check clips",
        "pointtrack data check clips/dog",
        "pointtrack data check clips --quiet    errors only",
    ),
    "data convert": (
        "pointtrack data convert davis2017 DAVIS clips",
        "pointtrack data convert tapvid tapvid_davis.pkl clips --pictures jpg",
        "pointtrack data convert kubric movi clips --subset 10 --points 256",
    ),
    "dense": (
        "pointtrack dense dog.mp4                  every fourth pixel of the first frame",
        "pointtrack dense dog.mp4 --stride 1 --memory 8",
        "pointtrack dense dog.mp4 --frame 30 --out dog_dense --resume",
    ),
    "doctor": (
        "pointtrack doctor",
        "pointtrack doctor --device cuda",
        "pointtrack doctor --tracker cotracker3-online",
    ),
    "export-onnx": (
        "pointtrack export-onnx graphs",
        "pointtrack export-onnx graphs --tracker cotracker3-online --points 256",
        "pointtrack export-onnx graphs --check dog.mp4",
    ),
    "eval": (
        "pointtrack eval --datasets bundled",
        "pointtrack eval --datasets tapvid:tapvid_davis.pkl --methods pointtrack,lk --subset 3",
        "pointtrack eval --datasets clips:clips --tracker mine.safetensors --out scores.json --resume",
    ),
    "eval-masks": (
        "pointtrack eval-masks --datasets davis2017:DAVIS --subset 3",
        "pointtrack eval-masks --datasets clips:clips --methods points,memory --protocol first-click",
        "pointtrack eval-masks --datasets davis2017:DAVIS --out scores.json --resume",
    ),
    "eval-still": (
        "pointtrack eval-still",
        "pointtrack eval-still --videos dog.mp4 --methods pointtrack,lk",
        "pointtrack eval-still --noise 0 8 --smooth 3",
    ),
    "train": (
        "pointtrack train --task tracking --out runs/mine",
        "pointtrack train --task matching --out runs/mine --textures textures",
        "pointtrack train --task tracking --out runs/mine --clips clips --init mine.safetensors",
    ),
    "finetune": (
        "pointtrack finetune clips --out runs/mine",
        "pointtrack finetune videos --out runs/mine --rounds 2 --guard held-out",
        "pointtrack finetune clips --out runs/mine --init small --train-encoder",
    ),
}
