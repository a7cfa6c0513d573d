"""Engines: the run times that turn pixels into depth, behind one small protocol.

`registry` opens one. No run time is imported before it is needed.
"""

from __future__ import annotations

import os

# onnxruntime sends telemetry to its makers unless this is set before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
