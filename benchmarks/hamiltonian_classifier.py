"""How good a softmax of polynomials is on small tables, beside logistic regression, an RBF SVM and a small MLP.

Test accuracy over stratified splits (three quarters to train), the same splits for all; `difference` is that to the SVM,
paired by split. The splits share samples, so that the standard errors (over splits) are a little too small. Every model
sees standardised inputs; logistic regression and SVM choose their strength by five-fold cross-validation. `neurons` are
those of the compiled network (GELU, logits to 1e-3 on the range of the training samples).

    python benchmarks/hamiltonian_classifier.py                           # the whole table, some ten minutes
    python benchmarks/hamiltonian_classifier.py --data digits --splits 3
"""

import argparse
import math
import time
import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from rgflow.compile import HamiltonianClassifier
from rgflow.errors import SettingError

__all__ = ["main"]

SPLITS = 10
TOLERANCE = 1e-3
DATA = {"wine": load_wine, "breast_cancer": load_breast_cancer, "digits": load_digits}


@dataclass(frozen=True)
class Trial:
    """One model on one split: test accuracy, parameters, neurons (or why none), seconds of CPU to fit."""

    accuracy: float
    parameters: int
    neurons: str
    seconds: float


def models() -> dict[str, ClassifierMixin]:
    """Return the models by name, untrained."""
    strengths = [0.01, 0.1, 1.0, 10.0, 100.0]
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    machine = make_pipeline(StandardScaler(), SVC())
    return {
        "logistic regression": GridSearchCV(logistic, {"logisticregression__C": strengths}),
        "RBF SVM": GridSearchCV(machine, {"svc__C": strengths}),
        "MLP, 32 ReLU": make_pipeline(StandardScaler(), MLPClassifier((32,), max_iter=500, random_state=0)),
        "Hamiltonian, order 1": HamiltonianClassifier(order=1),
        "Hamiltonian, order 2": HamiltonianClassifier(order=2),
        "Gaussian classes, order 1": HamiltonianClassifier(order=1, method="generative"),
        "Gaussian classes, order 2": HamiltonianClassifier(order=2, method="generative"),
    }


def trial(model: ClassifierMixin, train: tuple, test: tuple) -> Trial:
    """Fit, score and count one model."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(*train)
    seconds = time.process_time() - start
    return Trial(model.score(*test), parameters(model), neurons(model), seconds)


def parameters(model: ClassifierMixin) -> int:
    """Return the numbers that the fitted model holds."""
    if isinstance(model, HamiltonianClassifier):
        return sum(len(h.polynomial) for h in model.hamiltonians_) + len(model.mu_)
    last = getattr(model, "best_estimator_", model)[-1]
    if isinstance(last, SVC):
        return last.support_vectors_.size + last.dual_coef_.size + last.intercept_.size
    if isinstance(last, MLPClassifier):
        return sum(part.size for part in [*last.coefs_, *last.intercepts_])
    return last.coef_.size + last.intercept_.size


def neurons(model: ClassifierMixin) -> str:
    """Return the activations of the network that the model is, or compiles to; empty where it is none."""
    if not isinstance(model, HamiltonianClassifier):
        last = getattr(model, "best_estimator_", model)[-1]
        return str(sum(last.hidden_layer_sizes)) if isinstance(last, MLPClassifier) else ""
    try:
        return str(model.to_network(tolerance=TOLERANCE).neurons)
    except SettingError as refusal:
        return f"none: {refusal}"


def rows(name: str, *, splits: int) -> list[str]:
    """Return the lines of one data set's table."""
    inputs, labels = DATA[name](return_X_y=True)
    cuts = StratifiedShuffleSplit(splits, test_size=0.25, random_state=0)
    trials: dict[str, list[Trial]] = {}
    for train, test in cuts.split(inputs, labels):
        for title, model in models().items():
            result = trial(model, (inputs[train], labels[train]), (inputs[test], labels[test]))
            trials.setdefault(title, []).append(result)
    machine = np.array([t.accuracy for t in trials["RBF SVM"]])
    lines = []
    for title, found in trials.items():
        scores = np.array([t.accuracy for t in found])
        middle = int(np.median([t.parameters for t in found]))
        counts = [int(t.neurons) for t in found if t.neurons.isdigit()]
        size = str(int(np.median(counts))) if counts else ""
        difference = "" if title == "RBF SVM" else with_error(scores - machine)
        seconds = np.median([t.seconds for t in found])
        lines.append(f"| {name} | {title} | {with_error(scores)} | {difference} | {middle} | {size} | {seconds:.1f} |")
    return lines


def with_error(values: np.ndarray) -> str:
    """Return mean and standard error in percent."""
    error = values.std(ddof=1) / math.sqrt(len(values))
    return f"{100 * values.mean():.1f} ± {100 * error:.1f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=tuple(DATA), default=tuple(DATA))
    parser.add_argument("--splits", type=int, default=SPLITS)
    chosen = parser.parse_args()
    print("| data | model | accuracy, % | difference to SVM, % | parameters | neurons | CPU s |")
    print("|---|---|---|---|---|---|---|")
    for name in chosen.data:
        for line in rows(name, splits=chosen.splits):
            print(line, flush=True)


if __name__ == "__main__":
    main()
