"""The server: takes logs in, answers questions about them, and passes them on."""

from importlib.metadata import version

__version__ = version("pixsim-collector")
