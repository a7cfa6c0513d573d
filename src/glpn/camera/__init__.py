"""Camera: intrinsics, lens distortion, and what calibrates a depth."""
