"""A study is a grid of jobs whose results are numbers; this folder runs such grids once, whatever is killed meanwhile.

    jobs -> ledger -> executor -> records        `studies` says which jobs, `stages` what a job does

Read `jobs`, then `ledger`: the rest follows from them.
"""
