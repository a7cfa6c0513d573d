"""The figures of Kim et al. 2022, arXiv 2201.07436, with the test set behind each figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NYU_WEIGHTS = "vinvino02/glpn-nyu"
KITTI_WEIGHTS = "vinvino02/glpn-kitti"
KITTI_RANGE = 80.0  # metres; the published file states 10, but the authors trained to 80


@dataclass(frozen=True)
class PublishedSet:
    """One test set of the paper.

    Attributes:
        dataset: the dataset's name, which is also the name of its protocol.
        title: the title in the paper.
        images: the number of test images; None if it is unknown.
        metrics: metric → published mean; empty if no figure is available.
        confirmed: whether the figures were checked against the paper. Check the others before you
            quote them.
        weights: the hub id of the published checkpoint.
        max_depth: the range in metres, if the checkpoint's own value is wrong.
        places: subfolders that may contain only the test frames, the preferred first.
        lists: usual file names of the list of test frames.
        needs_list: whether only this list separates the test frames from the others.
    """

    dataset: str
    title: str
    images: int | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    confirmed: bool = False
    weights: str = NYU_WEIGHTS
    max_depth: float | None = None
    places: tuple[str, ...] = ()
    lists: tuple[str, ...] = ("test.txt",)
    needs_list: bool = False


PAPER: tuple[PublishedSet, ...] = (
    PublishedSet(
        "nyu",
        "NYU Depth V2",
        images=654,
        metrics={
            "delta1": 0.915,
            "delta2": 0.988,
            "delta3": 0.997,
            "abs_rel": 0.098,
            "rmse": 0.344,
            "log10": 0.042,
        },
        places=("official_splits/test", "test"),
        lists=("test.txt", "nyudepthv2_test_files_with_gt.txt"),
    ),
    PublishedSet(
        "kitti",
        "KITTI, Eigen split, improved ground truth",
        images=652,
        metrics={
            "delta1": 0.967,
            "delta2": 0.996,
            "delta3": 0.999,
            "abs_rel": 0.057,
            "rmse": 2.297,
            "rmse_log": 0.086,
        },
        confirmed=True,
        weights=KITTI_WEIGHTS,
        max_depth=KITTI_RANGE,
        lists=("test.txt", "eigen_test_files_with_gt.txt"),
        needs_list=True,
    ),
    PublishedSet(
        "sunrgbd",
        "SUN RGB-D, trained on NYU Depth V2",
        images=5050,  # the official test split; Song et al. 2015
        metrics={
            "delta1": 0.814,
            "delta2": 0.964,
            "delta3": 0.991,
            "abs_rel": 0.144,
            "rmse": 0.418,
            "log10": 0.061,
        },
        needs_list=True,
    ),
    PublishedSet("ibims", "iBims-1, trained on NYU Depth V2", images=100),
)
