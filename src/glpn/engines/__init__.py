"""Engines: the ways in which pixels become depth, behind one small protocol.

`registry` opens one. No run time is imported before it is needed.
"""

from __future__ import annotations

import os

# onnxruntime reports its use to its makers unless it is told before it is imported not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
