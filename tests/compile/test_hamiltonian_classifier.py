"""The estimator keeps scikit-learn's contract, finds the order of the truth, and is its own Hamiltonians and network."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.utils.estimator_checks import check_estimator

from rgflow.compile import HamiltonianClassifier
from rgflow.errors import DataError, SettingError

QUICK = {"folds": 2, "penalties": (0.1,)}


def labelled(logit, *, samples: int, variables: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Uniform inputs and labels drawn from a logistic law with that logit."""
    generator = np.random.default_rng(seed)
    inputs = generator.uniform(-1.0, 1.0, size=(samples, variables))
    return inputs, (generator.uniform(size=samples) < 1.0 / (1.0 + np.exp(-logit(inputs)))).astype(int)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(QUICK, marks=pytest.mark.slow),
        {"order": 1, "method": "generative"},
        {"order": 2, "method": "generative"},
    ],
    ids=["discriminative", "common covariance", "own covariances"],
)
def test_the_estimator_keeps_the_contract_of_scikit_learn(settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(HamiltonianClassifier(**settings), on_fail=None, on_skip=None)
    failed = [f"{r['check_name']}: {r['exception']}" for r in results if r["status"] not in ("passed", "skipped")]
    assert failed == []
    assert len([r for r in results if r["status"] == "passed"]) > 40


@pytest.mark.parametrize(
    ("logit", "order"),
    [
        pytest.param(lambda x: 4.0 * x[:, 0] - 2.0 * x[:, 1], 1, marks=pytest.mark.slow),
        (lambda x: 12.0 * x[:, 0] * x[:, 1], 2),
        pytest.param(lambda x: 40.0 * x[:, 0] * x[:, 1] * x[:, 2], 3, marks=pytest.mark.slow),
    ],
    ids=["linear", "pair", "triple"],
)
def test_the_selection_finds_the_order_of_the_truth(logit, order):
    inputs, labels = labelled(logit, samples=1500, variables=3, seed=0)
    model = HamiltonianClassifier(order=3).fit(inputs, labels)
    assert model.class_hamiltonians().order == order
    strongest = max(model.hamiltonians_[1].polynomial.terms(), key=lambda term: abs(term[1]))[0]
    assert sum(strongest) == order


def test_the_smallest_set_within_one_standard_error_is_taken():
    inputs, labels = labelled(lambda x: 3.0 * x[:, 0], samples=400, variables=4, seed=1)
    model = HamiltonianClassifier(order=2).fit(inputs, labels)
    best = max(model.ladder_, key=lambda rung: rung.score)
    allowed = [rung for rung in model.ladder_ if rung.score >= best.score - best.error]
    assert model.rung_ == min(allowed, key=lambda rung: rung.monomials)
    assert len(model.monomials_) == model.rung_.monomials
    assert [rung.monomials for rung in model.ladder_] == [1, 2, 4, 5, 6, 8, 12, 14]


@pytest.mark.parametrize("method", ["discriminative", "generative"])
@pytest.mark.parametrize(
    "load", [load_wine, pytest.param(load_breast_cancer, marks=pytest.mark.slow)], ids=["wine", "breast_cancer"]
)
def test_predictions_are_those_of_the_records_and_of_the_network(load, method):
    inputs, labels = load(return_X_y=True)
    model = HamiltonianClassifier(order=2, method=method).fit(inputs, labels)
    chances = model.predict_proba(inputs)
    assert np.abs(chances.sum(axis=1) - 1.0).max() < 1e-12
    records = model.class_hamiltonians().posterior((inputs - model.mean_) / model.scale_)
    assert np.abs(records.numpy() - chances).max() < 1e-9
    network = model.to_network(tolerance=1e-3)
    found = network.posterior(inputs).numpy()
    assert np.abs(found - chances).max() <= network.probability_bound
    assert network.probability_bound <= 1e-3
    assert (model.classes_[found.argmax(axis=1)] == model.predict(inputs)).all()


@pytest.mark.slow
def test_a_network_of_digits_predicts_like_the_classifier():
    inputs, labels = load_digits(return_X_y=True)
    model = HamiltonianClassifier(order=2, folds=2, penalties=(0.01,)).fit(inputs[:1200], labels[:1200])
    network = model.to_network(tolerance=1e-3)
    found = network.posterior(inputs[:1200]).numpy()
    assert np.abs(found - model.predict_proba(inputs[:1200])).max() <= network.probability_bound
    assert model.score(inputs[1200:], labels[1200:]) > 0.9
    with torch.no_grad():
        logits = network.module(torch.from_numpy(inputs[1200:]))
    assert (logits.argmax(1).numpy() == model.predict(inputs[1200:])).all()


@pytest.mark.slow
def test_one_seed_gives_one_result_and_names_of_classes_stay():
    inputs, labels = load_wine(return_X_y=True)
    names = np.array(["barolo", "grignolino", "barbera"])[labels]
    first, second = (HamiltonianClassifier(seed=3).fit(inputs, names) for _ in range(2))
    assert np.array_equal(first.predict_proba(inputs), second.predict_proba(inputs))
    assert first.ladder_ == second.ladder_
    assert first.ladder_ != HamiltonianClassifier(seed=4).fit(inputs, names).ladder_
    assert set(first.predict(inputs)) == set(names)


def test_units_of_the_inputs_do_not_matter():
    inputs, labels = load_wine(return_X_y=True)
    model = HamiltonianClassifier(**QUICK)
    before = model.fit(inputs, labels).predict_proba(inputs)
    after = model.fit(1000.0 * inputs - 7.0, labels).predict_proba(1000.0 * inputs - 7.0)
    assert np.abs(before - after).max() < 1e-4  # two runs of L-BFGS, each stopped at a gradient of 1e-4


def test_random_labels_are_not_learned():
    generator = np.random.default_rng(0)
    inputs, labels = generator.normal(size=(300, 5)), generator.integers(0, 2, size=300)
    model = HamiltonianClassifier(order=2).fit(inputs, labels)
    assert model.rung_.monomials <= 5
    assert max(rung.score for rung in model.ladder_) < -np.log(2.0) + 3.0 * model.rung_.error + 0.01


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"order": 5}, "it must be from 1 to 4"),
        ({"order": 3, "method": "generative"}, "it must be from 1 to 2"),
        ({"method": "bayes"}, "one of discriminative, generative"),
        ({"penalties": ()}, "one or more positive numbers"),
        ({"penalties": (0.0,)}, "one or more positive numbers"),
        ({"folds": 1}, "at least 2"),
    ],
)
def test_settings_outside_their_range_are_refused_in_one_sentence(settings, words):
    inputs, labels = load_wine(return_X_y=True)
    with pytest.raises(SettingError, match=words):
        HamiltonianClassifier(**settings).fit(inputs, labels)


def test_data_that_allow_nothing_are_refused_in_one_sentence():
    inputs, labels = load_digits(return_X_y=True)
    with pytest.raises(SettingError, match="monomials up to order 4"):
        HamiltonianClassifier(order=4).fit(inputs, labels)
    with pytest.raises(DataError, match="two or more classes"):
        HamiltonianClassifier().fit(inputs, np.zeros(len(inputs)))
    with pytest.raises(DataError, match="every input is constant"):
        HamiltonianClassifier().fit(np.ones((4, 2)), [0, 0, 1, 1])
    with pytest.raises(DataError, match="a covariance needs at least 2"):
        HamiltonianClassifier(method="generative").fit([[0.0], [1.0], [2.0]], [0, 0, 1])


def test_a_class_of_one_sample_leaves_nothing_to_hold_out():
    model = HamiltonianClassifier().fit([[0.0], [1.0], [2.0]], [0, 0, 1])
    assert len(model.ladder_) == 1
    assert model.predict([[5.0]]).tolist() == [1]


def test_certificates_do_without_scikit_learn():
    program = "import sys, rgflow.compile as c; c.shallow_width_bound('x*y'); print('sklearn' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
