"""A session of which nothing but the video is said."""

import numpy as np
import torch

import pointtrack as pt


def test_a_video_alone_is_given_what_ships():
    frames = np.full((2, 60, 80, 3), 60, np.uint8)
    frames[:, 15:40, 15:40] = 200
    session = pt.ObjectSession(pt.Video(frames))
    engine, network, segmenter = session.engine, pt.Tracker().network, pt.load_segmenter()
    assert engine.tracker.config == network.config and engine.segmenter.name == segmenter.name
    weights = engine.tracker.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in network.state_dict().items())
    mask = session.prompt(session.add_object(), 0, box=[14, 14, 40, 40]).numpy()
    square = frames[0, ..., 0] == 200
    assert (mask & square).sum() / (mask | square).sum() > 0.5
