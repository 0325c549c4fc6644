"""Readers of published sets, and of one's own, by the name that a spec `READER:PATH` gives."""

from lookharder.data.readers.audit import check_data
from lookharder.data.readers.examine import Findings, examine
from lookharder.data.readers.records import Problem
from lookharder.data.readers.specs import READERS, open_data

__all__ = ["READERS", "Findings", "Problem", "check_data", "examine", "open_data"]
