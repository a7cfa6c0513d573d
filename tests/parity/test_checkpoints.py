"""Files written by transformers load here, and files written here load there, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNModel, weights
from tests.networks import photograph, randomise

transformers = pytest.importorskip("transformers")


@pytest.fixture
def reference() -> nn.Module:
    """A b0 of transformers with random weights and BatchNorm statistics."""
    network = transformers.GLPNForDepthEstimation(transformers.GLPNConfig()).eval()
    randomise(network)
    return network


def depth(network: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return network(photograph(64, 96)).predicted_depth


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_folder_of_transformers_loads_here(
    reference: nn.Module, tmp_path: Path, dtype: Any
) -> None:
    reference.to(dtype).save_pretrained(tmp_path)
    assert GLPNForDepthEstimation.from_pretrained(tmp_path, dtype="auto").dtype == dtype
    ours = GLPNForDepthEstimation.from_pretrained(tmp_path)
    assert ours.dtype == torch.float32
    difference = depth(ours) - depth(reference.float())
    assert difference.abs().max() <= 1e-5


@pytest.mark.slow
def test_a_folder_of_ours_loads_in_transformers_without_a_missing_key(
    reference: nn.Module, tmp_path: Path
) -> None:
    ours = GLPNForDepthEstimation(GLPNConfig()).eval()
    randomise(ours)
    ours.save_pretrained(tmp_path)
    theirs, report = transformers.GLPNForDepthEstimation.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not any(report.values()), report
    assert (depth(ours) - depth(theirs.eval())).abs().max() <= 1e-5


def test_the_way_through_here_changes_no_bit(reference: nn.Module, tmp_path: Path) -> None:
    reference.save_pretrained(tmp_path / "theirs")
    GLPNForDepthEstimation.from_pretrained(tmp_path / "theirs").save_pretrained(tmp_path / "ours")
    theirs = weights.read_tensors(tmp_path / "theirs")
    ours = weights.read_tensors(tmp_path / "ours")
    assert len(theirs) == 250
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_b4_has_the_972_keys_of_transformers() -> None:
    config = GLPNConfig.preset("b4")
    with torch.device("meta"):
        theirs = transformers.GLPNForDepthEstimation(
            transformers.GLPNConfig(
                depths=list(config.depths), hidden_sizes=list(config.hidden_sizes)
            )
        ).state_dict()
    expected = weights.expected_shapes(config)
    assert len(expected) == 972
    assert expected == {name: tuple(value.shape) for name, value in theirs.items()}


def test_encoders_travel_both_ways(reference: nn.Module, tmp_path: Path) -> None:
    reference.glpn.save_pretrained(tmp_path / "theirs")  # without the prefix "glpn."
    ours = GLPNModel.from_pretrained(tmp_path / "theirs")
    ours.save_pretrained(tmp_path / "ours")
    theirs, report = transformers.GLPNModel.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not any(report.values()), report
    with torch.no_grad():
        maps = [network(photograph(64, 96)).last_hidden_state for network in (ours, theirs.eval())]
    assert (maps[0] - maps[1]).abs().max() <= 1e-5 * maps[1].abs().max()
