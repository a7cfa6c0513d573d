"""Rendering: scenes become pictures with exact depth, on any device."""
