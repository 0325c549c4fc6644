"""Records and laws as one page, and the paper's claims judged by them.

parts ─► compare ─► claims ─► findings ─► figures ─► sections, budgets ─► page
"""

from lookharder.report.budgets import Budgets, read_trained_plans
from lookharder.report.findings import findings
from lookharder.report.page import report
from lookharder.report.wording import markdown

__all__ = ["Budgets", "findings", "markdown", "read_trained_plans", "report"]
