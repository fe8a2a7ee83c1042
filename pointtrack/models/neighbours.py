"""Points that were near each other on their query frame: where they move, and which places fit their places."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ROWS = 1024  # points whose neighbours are weighed at a time: all at once would take gigabytes
COMPANY = 0.5  # least total weight of neighbours to move a point; a neighbour at its own place weighs 1

WITNESSES = 32  # neighbours whose places are compared with a place
CLOSE = 3.0  # cells; neighbours much nearer look alike and go wrong together, so they weigh little
SLACK = 2.0  # cells by which a neighbour may be off its place beside a point
STRETCH = 0.4  # and by which share of their distance: things turn, grow and bend
FITTING = 1.0  # least total weight of the neighbours that a place must fit


@dataclass(frozen=True)
class Neighbours:
    """Which queries were near each other.

    Attributes:
        xy: (b, n, 2) their positions, in cells.
        frame: (b, n) their query frames; points of different frames are not neighbours.
        leads: (b, n) bool, points that count for others; None for all.
    """

    xy: Tensor
    frame: Tensor
    leads: Tensor | None = None

    def motion(self, moved: Tensor, trusted: Tensor, wanted: Tensor, reach: float) -> tuple[Tensor, Tensor]:
        """Mean motion of the trusted neighbours of some points.

        Args:
            moved: (b, n, 2) motion of all points.
            trusted: (b, n) bool, points whose motion is trusted.
            wanted: (b, n) bool, points for which the motion is wanted.
            reach: standard deviation of the weight of neighbours by distance, in cells.

        Returns:
            (b, n, 2) means, and (b, n) bool, true where there were enough neighbours.
        """
        leads = trusted if self.leads is None else trusted & self.leads
        mean, enough = torch.zeros_like(moved), torch.zeros_like(wanted)
        for video in range(len(moved)):
            leaders = leads[video].nonzero()[:, 0]
            for rows in wanted[video].nonzero()[:, 0].split(ROWS):
                away = torch.cdist(self.xy[video, rows], self.xy[video, leaders]).square()
                weight = torch.exp(away / (-2 * reach**2))
                weight = weight * (self.frame[video, rows, None] == self.frame[video, leaders])
                total = weight.sum(1)
                mean[video, rows] = (weight @ moved[video, leaders]) / total.clamp(min=1e-6)[:, None]
                enough[video, rows] = total > COMPANY
        return mean, enough

    def agreement(
        self, places: Tensor, believed: Tensor, trusted: Tensor, wanted: Tensor, reach: float
    ) -> Tensor:
        """How many neighbours of a point lie beside each of its possible places as they did on the query frame.

        Args:
            places: (b, n, k, 2) cells where each point may be.
            believed: (b, n, 2) cells where each point most likely is, as it looks.
            trusted: (b, n) bool, points whose place is trusted.
            wanted: (b, n) bool, points for which the answer is wanted.
            reach: standard deviation of the weight of neighbours by distance, in cells.

        Returns:
            (b, n, k) shares of their total weight, in [0, 1]; 0 for points that are not wanted, and where too few agree.
        """
        shares = torch.zeros_like(places[..., 0])
        for video, (xy, frame) in enumerate(zip(self.xy, self.frame, strict=True)):
            for rows in wanted[video].nonzero()[:, 0].split(ROWS):
                away = torch.cdist(xy[rows], xy).square()
                weight = torch.exp(away / (-2 * reach**2)) * (1 - torch.exp(away / (-2 * CLOSE**2)))
                weight = weight * (frame[rows, None] == frame)
                if self.leads is not None:
                    weight = weight * self.leads[video]
                weight, who = weight.topk(min(WITNESSES, len(xy)), dim=1)
                beside = xy[who] - xy[rows, None]  # (rows, witnesses, 2)
                allowed = SLACK + STRETCH * beside.norm(dim=-1)
                expected = places[video, rows, :, None] + beside[:, None]  # (rows, k, witnesses, 2)
                off = (expected - believed[video, who][:, None]).norm(dim=-1)
                fits = (off < allowed[:, None]) & trusted[video, who][:, None]
                agreeing = (fits * weight[:, None]).sum(-1)
                share = agreeing / weight.sum(1, keepdim=True).clamp(min=1e-6)
                shares[video, rows] = torch.where(agreeing > FITTING, share, 0.0)
        return shares
