"""N draws of a map -> one map and its uncertainty, over the first axis, whatever their order.

    affine.py    depth: draws known up to a scale and a shift each are aligned, then their median
    marigold.py  the same by the published optimisation, to reproduce it
    vectors.py   flow: median of vectors
    votes.py     masks and plain numbers: vote, mean
    rank.py      median and its deviation, by a sorting network
    moments.py   means and covariances of the draws, and an order that does not depend on theirs

Uncertainty is the spread of the draws, in the unit of the result; it is 0 for one draw and for equal ones.
"""

from lookharder.tasks.merge.affine import (
    NEGLIGIBLE,
    SOLVERS,
    Merged,
    merge_affine,
    merge_flagged,
    solve_affine,
)
from lookharder.tasks.merge.marigold import Marigold
from lookharder.tasks.merge.rank import median
from lookharder.tasks.merge.vectors import vector_median
from lookharder.tasks.merge.votes import mean, mean_vote, vote

__all__ = [
    "NEGLIGIBLE",
    "SOLVERS",
    "Marigold",
    "Merged",
    "mean",
    "mean_vote",
    "median",
    "merge_affine",
    "merge_flagged",
    "solve_affine",
    "vector_median",
    "vote",
]
