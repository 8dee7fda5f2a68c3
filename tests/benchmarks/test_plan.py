"""The plan of large predictions: what the simulation says where the answer is known."""

import pytest

from benchmarks.plan import Fleet, Rates, simulate, stages

RATES = Rates(names=0, around=500, network=500, record=0, merge=0, start=0)
STEADY = Fleet(10, price=1, slow=0, spread=0, lifetime=1e9)


def test_steady_machines_share_the_work_evenly():
    ends, busy = simulate(36_000, 40, RATES, STEADY)
    assert (ends, busy) == (pytest.approx(1), pytest.approx(10))


def test_more_shards_than_machines_even_out_slow_ones():
    fleet = Fleet(10, price=1, slow=0.5, spread=0, lifetime=1e9)
    assert simulate(36_000, 10, RATES, fleet)[0] == pytest.approx(2)
    assert simulate(36_000, 1000, RATES, fleet)[0] < 1.5


def test_lost_machines_cost_their_starts_and_absences_only():
    fleet = Fleet(10, price=1, slow=0, spread=0, lifetime=0.5, away=0)
    assert simulate(36_000, 40, RATES, fleet)[1] == pytest.approx(10)
    slow_start = Rates(names=0, around=500, network=500, record=0, merge=0, start=60)
    assert simulate(36_000, 40, slow_start, fleet)[1] > 10 + 40 * 60 / 3600


def test_every_shard_reads_all_names():
    assert dict(stages(1000, 7, Rates(names=3.6e6)))['names'] == pytest.approx(7000)
