"""Rendering: scenes become images with exact depth, on any device."""
