"""Seeds: names become the same numbers everywhere, and no two purposes share one."""

from ganatomy.core.seed import derive, rng


def test_seeds_are_the_same_on_every_machine_and_in_every_version():
    assert derive(0, "step", 7) == 4353748105846793963
    assert rng(3, "folds").integers(0, 1_000_000, 3).tolist() == [269228, 997703, 651292]


def test_a_seed_depends_on_every_name_and_on_where_one_ends():
    seeds = [derive(0), derive(1), derive(0, "a"), derive(0, "a", "b"), derive(0, "ab"), derive(0, "b", "a")]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 2**63 for seed in seeds)
    assert derive(0, 7) == derive(0, "7")
