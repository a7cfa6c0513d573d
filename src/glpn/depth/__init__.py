"""Depth: metres with their camera and provenance, and colours to draw them in."""
