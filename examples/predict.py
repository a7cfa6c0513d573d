"""Metres from a photo: python examples/predict.py PHOTO"""

import sys

import glpn

depth = glpn.load()(sys.argv[1])
print(f"{depth.metres.min():.2f} to {depth.metres.max():.2f} m, {depth.camera.source}")
