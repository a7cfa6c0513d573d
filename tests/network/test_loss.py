"""SiLog: the published value where it has one, and never anything but a finite number."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glpn.network.loss import log_difference_sums, silog_from_sums, silog_loss


def test_value_worked_by_hand() -> None:
    prediction = torch.tensor([[[1.0, 2.0, 4.0]]])
    target = torch.tensor([[[2.0, 2.0, 2.0]]])
    # d = (ln 2, 0, -ln 2): mean d² = 2/3 ln² 2, mean d = 0
    assert silog_loss(prediction, target).item() == pytest.approx(math.sqrt(2 / 3) * math.log(2))
    # a common factor e: d = (1, 1), sqrt(1 - 0.5)
    factor = silog_loss(torch.ones(1, 1, 2), torch.full((1, 1, 2), math.e))
    assert factor.item() == pytest.approx(math.sqrt(0.5))
    assert silog_loss(torch.ones(1, 1, 2), torch.full((1, 1, 2), math.e), weight=1.0) < 1e-6


def test_value_and_gradient_equal_the_reference_where_it_is_finite() -> None:
    from transformers.models.glpn.modeling_glpn import SiLogLoss

    generator = torch.Generator().manual_seed(0)
    prediction = 0.1 + 9 * torch.rand((2, 8, 9), generator=generator, dtype=torch.float64)
    target = 9 * torch.rand((2, 8, 9), generator=generator, dtype=torch.float64)
    target[:, :2] = 0
    a, b = prediction.clone().requires_grad_(), prediction.clone().requires_grad_()
    theirs, ours = SiLogLoss()(a, target), silog_loss(b, target)
    theirs.backward()
    ours.backward()
    assert abs(theirs.item() - ours.item()) < 1e-12
    torch.testing.assert_close(b.grad, a.grad, rtol=1e-10, atol=1e-14)


def test_perfect_prediction_has_zero_loss_and_a_finite_gradient() -> None:
    prediction = torch.full((1, 4, 4), 3.0, requires_grad=True)
    loss = silog_loss(prediction, torch.full((1, 4, 4), 3.0))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(prediction.grad).all()


@pytest.mark.parametrize("nothing", [0.0, math.nan, math.inf, -math.inf, -2.0])
def test_pixels_without_a_depth_are_left_out(nothing: Any) -> None:
    prediction = torch.tensor([[[1.0, 2.0, 4.0, 5.0]]], requires_grad=True)
    known = torch.tensor([[[2.0, 3.0, 1.0, nothing]]])
    loss = silog_loss(prediction, known)
    loss.backward()
    assert loss.item() == pytest.approx(silog_loss(prediction[..., :3], known[..., :3]).item())
    assert prediction.grad[0, 0, 3] == 0


def test_a_map_without_any_depth_costs_nothing() -> None:
    prediction = torch.full((1, 4, 4), 3.0, requires_grad=True)
    loss = silog_loss(prediction, torch.zeros(1, 4, 4))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow(dtype: Any) -> None:
    prediction = torch.full((1, 400, 400), 9.0, dtype=dtype, requires_grad=True)
    loss = silog_loss(prediction, torch.full((1, 400, 400), 0.01, dtype=dtype))
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.log(900) / math.sqrt(2), rel=1e-2)
    assert torch.isfinite(prediction.grad).all()


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2, 2\)"):
        silog_loss(torch.ones(1, 2, 2), torch.ones(1, 3, 3))


DEPTH = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(
    st.lists(DEPTH, min_size=4, max_size=4),
    st.lists(st.floats(0, 80, width=32), min_size=4, max_size=4),
)
def test_no_label_makes_it_infinite(labels: Any, predictions: Any) -> None:
    prediction = torch.tensor([[predictions]], requires_grad=True)
    loss = silog_loss(prediction, torch.tensor([[labels]]))
    loss.backward()
    assert torch.isfinite(loss)
    assert not torch.isnan(prediction.grad).any()


def test_sums_of_two_halves_give_the_loss_of_the_whole() -> None:
    prediction = torch.tensor([[[1.0, 2.0]], [[4.0, 3.0]]])
    target = torch.tensor([[[2.0, 2.0]], [[2.0, 0.0]]])
    # d = (ln 2, 0, -ln 2), the last pixel unknown
    sums = log_difference_sums(prediction[:1], target[:1])
    assert sums.tolist() == pytest.approx([2, math.log(2), math.log(2) ** 2])
    sums = sums + log_difference_sums(prediction[1:], target[1:])
    assert silog_from_sums(sums).item() == pytest.approx(math.sqrt(2 / 3) * math.log(2))
