"""Muon moves matrices by orthogonal steps of a known length, and everything else like AdamW."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from glpn import GLPNConfig, GLPNForDepthEstimation
from glpn.training import train
from glpn.training.checkpoint import list_checkpoints
from glpn.training.muon import Muon, is_matrix, orthogonalised
from glpn.training.optimiser import build_optimiser, set_rate
from glpn.training.options import OptimiserOptions
from tests.training.runs import tiny_recipe, traces, write_frames

RATE = 0.01


@pytest.mark.parametrize("shape", [(2, 16, 48), (1, 48, 16), (3, 32, 48)])
def test_all_singular_values_become_about_one(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrices))
    assert values.min() > 0.6 and values.max() < 1.3
    assert torch.allclose(orthogonalised(1e4 * matrices), orthogonalised(matrices), atol=1e-4)


def test_a_gradient_of_zeros_moves_nothing() -> None:
    assert orthogonalised(torch.zeros(1, 16, 16)).abs().max() == 0


def test_matrices_are_wide_both_ways() -> None:
    net = GLPNForDepthEstimation(GLPNConfig(hidden_sizes=(8, 16, 40, 64), depths=(1, 1, 1, 1)))
    parameters = dict(net.named_parameters())
    block = "glpn.encoder.stages.3.blocks.0"
    assert is_matrix(parameters[f"{block}.attention.query.weight"])
    assert is_matrix(parameters["glpn.encoder.stages.2.embed.proj.weight"])
    assert not is_matrix(parameters[f"{block}.ffn.depthwise.weight"])
    assert not is_matrix(parameters[f"{block}.attention.query.bias"])
    assert not is_matrix(parameters["head.conv2.weight"])
    assert not is_matrix(parameters["glpn.encoder.stages.0.blocks.0.attention.query.weight"])


def test_a_step_is_as_long_as_one_of_adamw_and_orthogonal() -> None:
    matrix = nn.Parameter(torch.zeros(32, 64))
    matrix.grad = torch.randn(32, 64, generator=torch.Generator().manual_seed(0))
    optimiser = Muon([{"params": [matrix], "matrices": True}], lr=RATE, weight_decay=0.0)
    optimiser.step()
    assert matrix.detach().square().mean().sqrt().item() == pytest.approx(0.2 * RATE, rel=0.3)
    values = torch.linalg.svdvals(matrix.detach()) / (0.2 * RATE * 64**0.5)
    assert values.min() > 0.6 and values.max() < 1.3


def test_weights_decay_by_the_rate_times_the_decay() -> None:
    matrix = nn.Parameter(torch.ones(16, 16))
    matrix.grad = torch.zeros(16, 16)
    Muon([{"params": [matrix], "matrices": True}], lr=RATE, weight_decay=0.5).step()
    assert torch.allclose(matrix, torch.full((16, 16), 1 - 0.5 * RATE))


def test_other_parameters_move_as_with_adamw() -> None:
    found = {}
    for kind in ("adamw", "muon"):
        torch.manual_seed(0)
        net = GLPNForDepthEstimation(GLPNConfig(hidden_sizes=(8, 16, 40, 64), depths=(1, 1, 1, 1)))
        options = OptimiserOptions(kind=kind, weight_decay=0.1)
        optimiser = build_optimiser(dict(net.named_parameters()), (1, 1, 1, 1), options)
        set_rate(optimiser, RATE)
        before = {n: p.detach().clone() for n, p in net.named_parameters()}
        for p in net.parameters():
            p.grad = torch.ones_like(p)
        optimiser.step()
        found[kind] = {n: p.detach() - before[n] for n, p in net.named_parameters()}
    shapes = dict(net.named_parameters())
    for name, moved in found["adamw"].items():
        if not is_matrix(shapes[name]):
            assert torch.allclose(moved, found["muon"][name], atol=1e-7), name


@pytest.mark.slow
def test_a_run_with_muon_resumes_to_the_same_bits(tmp_path: Path) -> None:
    frames, run = write_frames(tmp_path / "set", 8), tmp_path / "run"
    recipe = tiny_recipe(frames, run, "optimiser.kind=muon")
    train(recipe)
    undisturbed = traces(run)
    for checkpoint in list_checkpoints(run / "checkpoints")[:2]:
        shutil.rmtree(checkpoint)
    train(recipe, resume=True)
    assert traces(run) == undisturbed
