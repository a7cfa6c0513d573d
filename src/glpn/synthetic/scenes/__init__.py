"""Scenes: the contents of a room or a street, drawn from a seed."""
