"""Verbs: one module each; they import the rooms they need inside their functions."""
