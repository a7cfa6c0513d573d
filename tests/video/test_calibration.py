"""A video's frames after `--ref`: other metres, and no error that was measured for others."""

from __future__ import annotations

import numpy as np

import glpn
from glpn.camera.calibration import ScaleShift
from glpn.video.predicting import _calibrated


def test_calibrated_frames_state_no_error_and_no_sigma() -> None:
    photo = np.tile(np.arange(64, dtype=np.uint8)[:, None, None], (1, 96, 3))
    depth = glpn.load("glpn-b0-indoor", threads=1)(photo)
    calibrated = _calibrated(depth, ScaleShift(2.0))
    np.testing.assert_allclose(calibrated.metres, 2 * depth.metres, rtol=1e-6)
    assert depth.relative_error is not None and depth.sigma is not None
    assert calibrated.relative_error is None and calibrated.sigma is None
    assert calibrated.provenance.error_data == ""
