"""The service under load. `python -m tests.load.run` runs the long forms."""
