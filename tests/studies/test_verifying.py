"""The experiment behind a tuning: paired, fair, honest, and able to see the known fact."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from rgflow.datasets.arrays import as_dataset
from rgflow.errors import DataError, ModelError, SettingError
from rgflow.networks.write import Redraw
from rgflow.records import Dataset
from rgflow.report.comparison import comparison_table
from rgflow.studies.tuning import tune
from rgflow.studies.verifying import verify


def digits(samples: int | None = None) -> Dataset:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return as_dataset(x[:samples], y[:samples], name="digits")


def deep(width: int = 64, depth: int = 12):
    def build() -> nn.Module:
        sizes = [64] + [width] * depth
        layers = [m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(*layers, nn.Linear(width, 10))

    return build


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices gain little from a second thread and lose much where the cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


FAST = {"networks": 3, "steps": 150, "rates": (0.005, 0.003), "batch_size": 16}


def untuned(*args, **options):
    """Tune nothing: the plan of `tune` is thrown away."""
    return replace(tune(*args, **options), plan=())


def test_tuning_rescues_a_deep_relu_network_that_stock_initialisation_leaves_at_chance():
    result = verify(deep(64, 10), tune, digits(500), **FAST)
    assert max(result.stock.test) < 0.2
    assert min(result.tuned.test) > 0.5
    assert result.verdict == "tuned is better"
    assert result.stock.rates == (0.003, 0.005)
    assert (result.networks, result.steps, result.metric) == (3, 150, "accuracy")


def test_arms_that_are_the_same_differ_by_exactly_nothing_in_every_pair():
    # Any break of the pairing - other draws, other minibatches, other rates - would show here.
    # R^2 is continuous, so that no two networks score the same by accident.
    x = torch.randn(100, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    data = as_dataset(x, torch.sin(x[:, :1]), task="regression")

    class Spare(nn.Sequential):
        """A network with a parameter that it does not use: drawing it again changes nothing but the tensors."""

        def __init__(self) -> None:
            super().__init__(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
            self.spare = nn.Parameter(torch.zeros(3))

    def spare_only(*args, **options):
        return replace(tune(*args, **options), plan=(Redraw("spare", 1.0),))

    result = verify(Spare, spare_only, data, **FAST)
    assert len(set(result.stock.test)) == 3
    assert result.stock.test == result.tuned.test
    assert (result.difference.value, result.interval, result.verdict) == (0.0, (0.0, 0.0), "no benefit")
    assert not any("same networks" in note for note in result.notes)


@pytest.mark.parametrize("factor", [1.0, 0.1])
def test_where_nothing_is_tuned_one_arm_is_trained_and_the_result_says_so(factor):
    stages = []

    def rates_only(*args, **options):
        return replace(untuned(*args, **options), multipliers={"0.weight": factor})

    options = {**FAST, "steps": 5}
    result = verify(deep(16, 1), rates_only, digits(100), progress=lambda stage, _: stages.append(stage), **options)
    assert any("no benefit by construction" in note for note in result.notes) == (factor == 1.0)
    assert any("tuned networks" in stage for stage in stages) == (factor != 1.0)
    if factor == 1.0:
        assert result.stock.test == result.tuned.test
        assert (result.interval, result.verdict) == ((0.0, 0.0), "no benefit")
        assert "no benefit by construction" in comparison_table(result)


def test_tuning_in_the_experiment_sees_the_training_part_only():
    seen = []

    def spy(model, data, **options):
        seen.append(data)
        return tune(model, data, **options)

    data = digits(300)
    verify(deep(32, 1), spy, data, **FAST)
    (part,) = seen
    assert len(part.inputs) == 300 - 2 * 60


def test_same_seed_same_result_two_seeds_two_results():
    data = digits(200)
    options = {**FAST, "steps": 30, "rates": (0.03,)}
    one, again, other = (verify(deep(16, 2), tune, data, seed=seed, **options) for seed in (1, 1, 2))
    assert one == again
    assert one.tuned.test != other.tuned.test


def test_the_grid_grows_for_both_arms_where_the_best_rate_lies_at_its_edge(monkeypatch):
    # A grid far below every useful rate.
    monkeypatch.setitem(verify.__globals__["_GRIDS"], "sgd", (-4.0, -3.5))
    result = verify(deep(32, 1), tune, digits(300), networks=4, steps=60, batch_size=16)
    assert len(result.tuned.rates) > 2
    assert result.stock.rates == result.tuned.rates
    assert list(result.tuned.rates) == sorted(result.tuned.rates)
    assert len(result.tuned.validation) == len(result.tuned.rates) == len(result.tuned.failed)
    assert any(f"from 2 to {len(result.tuned.rates)} rates" in note for note in result.notes)


def test_the_grid_grows_downwards_until_networks_stop_diverging(monkeypatch):
    monkeypatch.setitem(verify.__globals__["_GRIDS"], "sgd", (1.0, 1.5))
    x = torch.randn(100, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    data = as_dataset(x, 50.0 * x[:, :1], task="regression")
    result = verify(lambda: nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 1)), tune, data, networks=2, steps=60)
    assert result.stock.rates[0] < 0.1
    assert result.stock.failed[-1] == 2
    assert max(result.stock.validation) > 0.0


def test_the_global_random_state_stays_as_found_and_progress_reaches_one():
    state, seen = torch.get_rng_state(), []
    options = {**FAST, "steps": 5}
    verify(deep(16, 1), tune, digits(200), progress=lambda stage, done: seen.append((stage, done)), **options)
    assert torch.equal(torch.get_rng_state(), state)
    for arm in ("stock", "tuned"):
        fractions = [fraction for stage, fraction in seen if stage == f"training {arm} networks at 2 rates"]
        assert fractions == sorted(fractions)
        assert (fractions[0], fractions[-1]) == (0.0, pytest.approx(1.0))
    assert [stage for stage, _ in seen[:2]] == ["tuning on the training part", "drawing networks"]


def test_the_table_shows_both_sweeps_the_choice_and_the_verdict_in_words():
    result = verify(deep(16, 1), untuned, digits(200), **{**FAST, "steps": 20})
    text = comparison_table(result)
    assert "no benefit: the interval contains 0" in text
    assert text.count("*") == 3  # one mark per arm, one in the legend
    assert "20 steps of sgd" in text
    assert max(map(len, comparison_table(result, width=60).splitlines())) <= 60


def test_bad_input_is_refused_in_one_sentence():
    with pytest.raises(SettingError, match="networks is 1"):
        verify(deep(), tune, digits(100), networks=1)
    with pytest.raises(DataError, match="no targets"):
        verify(deep(), tune, as_dataset(torch.randn(50, 64)))
    with pytest.raises(SettingError, match="lion"):
        verify(deep(16, 1), untuned, digits(100), optimizer="lion")

    def fixed():
        torch.manual_seed(0)
        return deep(16, 1)()

    with pytest.raises(ModelError, match="fixed"):
        verify(fixed, tune, digits(100))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_digits_12_layers_of_64_relu_by_sgd_stock_at_chance_tuned_past_95_percent(seed):
    result = verify(deep(), tune, digits(), seed=seed)
    # Chance is 0.10; one network of eight may find its way up a little at a large rate.
    assert result.stock.mean.value < 0.2
    assert result.tuned.mean.value > 0.95
    assert result.verdict == "tuned is better"


@pytest.mark.slow
def test_a_shallow_network_on_standardised_columns_has_no_benefit():
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    data = as_dataset((x - x.mean(0)) / x.std(0), y, name="breast_cancer")

    def shallow() -> nn.Module:
        return nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))

    assert verify(shallow, tune, data).verdict == "no benefit"
