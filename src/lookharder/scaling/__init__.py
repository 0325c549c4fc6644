"""Numbers in, numbers out: what was measured, the laws that it follows, and how a budget is best spent by them.

    record ─► law ─► plan

Nothing here knows a network: a size is a number of parameters, an effort a number of MACs.
"""
