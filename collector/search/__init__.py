"""The language of searches: docs/search.md describes it."""

from __future__ import annotations

from collector.search.mistakes import Mistake
from collector.search.parser import parse
from collector.search.writing import written

__all__ = ["Mistake", "parse", "written"]
