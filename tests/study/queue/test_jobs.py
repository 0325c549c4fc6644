"""A job's name says what it does and nothing else; a graph puts jobs after what they need."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookharder.errors import InputError
from lookharder.study.queue.jobs import Graph, Job, topological


def test_the_hash_is_of_what_decides_the_result():
    job = Job(kind="a", config={"x": 1, "y": [2.5, "z"]}, needs=("n",), cost=1.0, title="one")
    same = Job(kind="a", config={"y": [2.5, "z"], "x": 1}, needs=("n",), cost=2.0, title="two")
    assert job.hash == same.hash == "3174b6b065a684b7"  # names on disk must outlive this code
    for other in (
        Job(kind="b", config=job.config, needs=job.needs),
        Job(kind="a", config={**job.config, "x": 2}, needs=job.needs),
        Job(kind="a", config=job.config, needs=()),
    ):
        assert other.hash != job.hash


def test_a_job_comes_back_from_json_and_not_from_another():
    job = Job(kind="a", config={"x": 1}, needs=("n",), cost=3.0, title="one")
    back = Job.from_json(job.to_json())
    assert (back.hash, back.title, back.cost) == (job.hash, "one", 3.0)
    with pytest.raises(InputError, match=job.hash):
        Job.from_json({**job.to_json(), "config": {"x": 2}})


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_each_comes_after_its_needs_and_those_without_in_their_order(data):
    count = data.draw(st.integers(1, 12))
    needs = {
        str(i): tuple(str(j) for j in sorted(data.draw(st.sets(st.integers(0, i - 1)))))
        if i
        else ()
        for i in range(count)
    }
    shuffled = {name: needs[name] for name in data.draw(st.permutations(list(needs)))}
    order = topological(shuffled)
    assert sorted(order) == sorted(needs)
    for name in order:
        assert all(order.index(n) < order.index(name) for n in needs[name])
    free = dict.fromkeys(shuffled, ())
    assert topological(free) == list(free)


def test_circles_and_missing_jobs_are_refused():
    with pytest.raises(InputError, match="circle"):
        topological({"a": ("b",), "b": ("c",), "c": ("a",)})
    with pytest.raises(InputError, match="'b'"):
        topological({"a": ("b",)})


def test_a_graph_shares_equal_jobs_and_cuts_out_what_is_needed():
    a = Job(kind="a", config={})
    b = Job(kind="b", config={}, needs=(a.hash,))
    c = Job(kind="c", config={}, needs=(a.hash,))
    graph = Graph([c, b, a, Job(kind="a", config={}, title="again")])
    assert [job.kind for job in graph] == ["a", "c", "b"]
    assert [job.kind for job in graph.closure([b.hash])] == ["a", "b"]
    assert graph[a.hash] is a
