"""Scenes: what a room or a street holds, chosen from a seed."""
