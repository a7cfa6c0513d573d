"""The tiny model of the command-line tests."""

from tests.cli import conftest as cli

model = cli.model  # the fixture
