"""Compiled networks do what their polynomials do, within a bound that holds, and stay ordinary PyTorch modules."""

import copy
import io
import json
import warnings
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import rgflow
from rgflow.compile import assembly, measured_error, polynomial, product_counts, scale_curve, shallow_width_bound
from rgflow.compile.accuracy import chosen_units, output_errors
from rgflow.compile.assembly import assembled, block_of
from rgflow.compile.kit import SCALES, exact_kit, scale_and_bias, taylor_kit
from rgflow.compile.layered import equal_group_neurons, fewest_neurons
from rgflow.compile.layout import product_of
from rgflow.compile.measuring import reference_values, sampled_inputs
from rgflow.compile.parsing import parse
from rgflow.compile.plan import monomials_of
from rgflow.compile.sharing import paired_plan, shared_plan, shared_plans
from rgflow.compile.smooth import NAMES, activation_module, smooth
from rgflow.compile.tents import tent_bound
from rgflow.compile.unit import product_unit
from rgflow.errors import SettingError
from rgflow.numerics.sparse_polynomial import SparsePolynomial
from rgflow.records import Hamiltonian
from tests.compile.checks import CHECKS, load_room

REFERENCE = {
    entry["id"]: entry
    for entry in json.loads((Path(__file__).parents[1] / "reference" / "compile.json").read_text())["values"]
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_room_passes(check):
    check(load_room())


# ---------------------------------------------------------------- reference values


def gate(name: str, scale: float, factors: torch.Tensor) -> np.ndarray:
    """The product of two factors at one scale and the best bias, in the dtype of `factors`."""
    unit = product_unit(
        smooth(name), (1, 1), scale=scale, bias=scale_and_bias(name, 2, factors.dtype).bias, dtype=factors.dtype
    )
    rows, weights = (torch.from_numpy(part).to(factors.dtype) for part in (unit.rows, unit.weights))
    return (activation_module(name)(factors @ rows.T + unit.bias) @ weights + unit.offset).double().numpy()


def factors_of(dtype: torch.dtype) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (2, 4000)).T).to(dtype)


GATES = sorted(key for key in REFERENCE if key.startswith("A.gate."))


@pytest.mark.parametrize("key", GATES)
def test_products_of_two_agree_with_the_reference(key):
    entry, (_, _, name, what) = REFERENCE[key], key.split(".", 3)
    name = name.removesuffix("_b")
    act = smooth(name)
    if what == "rel_coeff":
        bias = scale_and_bias(name, 2, torch.float64).bias
        assert act.at(4, bias) / (6 * act.at(2, bias)) == pytest.approx(entry["value"], rel=entry["tol"])
        return
    factors = factors_of(torch.float32 if what.startswith("f32") else torch.float64)
    truth = factors.double().numpy().prod(1)
    scales = [0.01] if "lam" in what else SCALES
    best = min(float(np.abs(gate(name, float(scale), factors) - truth).max()) for scale in scales)
    if entry["kind"] == "factor":
        assert entry["value"] / entry["tol"] <= best <= entry["value"] * entry["tol"]
    else:
        assert best == pytest.approx(entry["value"], rel=entry["tol"])


def tree(factors: int, scale: float, points: torch.Tensor) -> torch.Tensor:
    """The product tree of the exponential at one scale."""
    act = smooth("exp")
    kit = replace(
        taylor_kit("exp", torch.float64),
        product=lambda powers: product_unit(act, powers, scale=scale, bias=0.0, dtype=torch.float64),
    )
    plan = shared_plan(parse("*".join(f"x{i}" for i in range(factors))), (1.0,) * factors, late=False)
    units = chosen_units(plan, kit, thrifty=True)
    blocks = [
        [block_of(g, u) for g, u in zip(level.gates, us, strict=True)]
        for level, us in zip(plan.levels, units, strict=True)
    ]
    module = assembled(blocks, plan.outputs, bounds=(1.0,) * factors, activation="exp", dtype=torch.float64)
    with torch.no_grad():
        return module(points)[:, 0]


@pytest.mark.parametrize("key", sorted(key for key in REFERENCE if key.startswith("A.product.")))
def test_products_of_n_err_as_the_reference_does_at_the_best_scale(key):
    entry, n = REFERENCE[key], int(key.split(".")[2][1:])
    points = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (500, n)))
    truth, errors = points.prod(1), []
    for scale in map(float, SCALES):
        if "deep" in key:
            found = tree(n, scale, points)
        else:
            unit = product_unit(smooth("exp"), (1,) * n, scale=scale, bias=0.0, dtype=torch.float64)
            found = torch.exp(points @ torch.from_numpy(unit.rows).T) @ torch.from_numpy(unit.weights)
        errors.append(float((found - truth).abs().nan_to_num(nan=np.inf).max()))
    # powers of two lie up to sqrt(2) from the best scale: twice the truncation there
    assert entry["value"] / entry["tol"] <= min(errors) <= 2.0 * entry["value"] * entry["tol"]


def test_layer_counts_are_those_of_the_reference_and_uneven_groups_never_exceed_them():
    for key in (key for key in REFERENCE if key.startswith("A.k_layer.")):
        n, k = (int(part[1:]) for part in key.split(".")[2:4])
        assert equal_group_neurons(n, layers=k) == REFERENCE[key]["value"]
        assert fewest_neurons(n, layers=k, carry=1) <= REFERENCE[key]["value"]


def test_powers_take_no_more_neurons_than_the_reference():
    for key in (key for key in REFERENCE if key.startswith("A.power_count.")):
        power = int(key.split(".")[2])
        assert polynomial(f"x**{power}", tolerance=1e-4).neurons <= REFERENCE[key]["value"]


def test_tents_have_the_reference_error():
    for key in (key for key in REFERENCE if key.startswith("A.yarotsky.")):
        assert tent_bound(int(key.split(".")[2][1:])) == REFERENCE[key]["value"]


def test_one_layer_of_a_product_takes_what_is_certified_without_biases():
    for expression in ("x*y", "x*y*z", "x*y*z*w", "x**2*y"):
        network = polynomial(expression, layers=1, activation="exp", tolerance=0.1)
        plain, free = (shallow_width_bound(expression, family=f).neurons for f in ("plain", "hidden-bias"))
        assert free <= network.neurons <= plain


# ---------------------------------------------------------------- properties


@st.composite
def requests(draw):
    count = draw(st.integers(1, 4))
    names = tuple(f"x{i}" for i in range(count))
    terms = draw(st.integers(1, 5))
    powers = np.array(
        draw(st.lists(st.lists(st.integers(0, 3), min_size=count, max_size=count), min_size=terms, max_size=terms))
    )
    coefficients = draw(st.lists(st.floats(-5, 5).filter(lambda c: abs(c) > 1e-3), min_size=terms, max_size=terms))
    outputs = (SparsePolynomial(names, powers, coefficients),)
    domain = tuple(draw(st.sampled_from([0.1, 1.0, 1.7, 5.0])) for _ in range(count))
    activation = draw(st.sampled_from([*NAMES, "gelu", "relu", "squared_relu"]))
    dtype = draw(st.sampled_from([torch.float64, torch.float32]))
    gates = draw(st.sampled_from(["automatic", "taylor", "least-squares"]))
    layers = draw(st.sampled_from([None, None, 2]))
    return outputs, {"domain": domain, "activation": activation, "dtype": dtype, "gates": gates, "layers": layers}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(requests())
def test_no_input_errs_by_more_than_the_bound(request_):
    outputs, options = request_
    size = max(p.size(options["domain"]) for p in outputs)
    try:
        network = polynomial(list(outputs), tolerance=0.05 * max(size, 1e-3), **options)
    except SettingError as refusal:
        if "not reachable" not in str(refusal):
            raise
        return
    assert measured_error(network, samples=600, seed=1).error <= network.error_bound


def test_the_bound_is_within_a_hundred_of_the_measured_error_in_the_median():
    generator, ratios = np.random.default_rng(5), []
    for trial in range(40):
        powers = generator.integers(0, 3, (generator.integers(1, 6), 3))
        p = SparsePolynomial(("x", "y", "z"), powers, generator.normal(size=len(powers)))
        if p.degree < 2:
            continue
        dtype = (torch.float64, torch.float32)[trial % 2]
        name = ("gelu", "silu", "softplus", "exp", "tanh", "sigmoid", "squared_relu", "relu")[trial // 2 % 8]
        tolerance = 1e-4 if dtype == torch.float64 else 0.5
        network = polynomial(p, activation=name, dtype=dtype, tolerance=tolerance, domain=1.5)
        ratios.append(network.error_bound / measured_error(network, samples=1500).error)
    assert min(ratios) >= 1.0
    assert np.median(ratios) <= 100.0


@pytest.mark.parametrize("kind", ["bit", "spin"])
def test_truth_tables_are_exact_up_to_twelve_variables(kind):
    generator = np.random.default_rng(3)
    for n in (4, 12):
        powers = np.concatenate([generator.integers(0, 2, (6, n)), np.ones((1, n), dtype=int)])
        p = SparsePolynomial(tuple(f"x{i}" for i in range(n)), powers, generator.integers(-4, 5, 7).astype(float) + 0.5)
        network = polynomial(p, kind=kind, activation="relu", variables=p.variables)
        found = measured_error(network, samples=2**12)
        assert found.samples == 2**n
        assert found.error == 0.0
        assert network.layers == 1


def test_wrong_scales_are_seen_by_the_measurement():
    """Negative control: a network with one weight changed by 1e-4 breaks its bound."""
    network = polynomial("x*y*z")
    with torch.no_grad():
        next(m for m in network.module if isinstance(m, nn.Linear)).weight[0, 0] *= 1.0001
    assert measured_error(network).error > network.error_bound


@pytest.mark.parametrize("monomials", [1500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_thousands_of_monomials_share_most_of_their_products(monomials):
    generator = np.random.default_rng(0)
    powers = np.zeros((monomials, 50), dtype=int)
    for row in powers:
        for v in generator.integers(0, 50, 4):
            row[v] += 1
    p = SparsePolynomial(tuple(f"x{i}" for i in range(50)), powers, generator.normal(size=len(powers)))
    network = polynomial(p, tolerance=1e-2)
    assert network.sharing.products < network.sharing.products_alone / (10 if monomials > 5000 else 3)
    points = sampled_inputs(network, samples=64, seed=0)
    with torch.no_grad():
        error = np.abs(network(points)[:, 0].numpy() - reference_values(p, points.numpy())).max()
    assert error <= network.error_bound


# ---------------------------------------------------------------- ordinary modules


@pytest.mark.parametrize("name", ["gelu", "tanh", "relu", "squared_relu", "exp"])
def test_a_network_has_linear_and_activation_layers_only_and_its_weights_travel(name):
    network = polynomial("x1*x2*x3 + 2*x1**2, x2 - 1", activation=name, tolerance=1e-5)
    allowed = (nn.Linear, type(activation_module(name)))
    assert type(network.module) is nn.Sequential
    assert all(isinstance(layer, allowed) for layer in network.module)
    assert sum(isinstance(layer, allowed[1]) for layer in network.module) == network.layers
    copy_ = eval(network.spelled(), {"nn": nn, "rgflow": rgflow})
    buffer = io.BytesIO()
    torch.save(network.module.state_dict(), buffer)
    buffer.seek(0)
    copy_.load_state_dict(torch.load(buffer, weights_only=True))
    points = sampled_inputs(network, samples=20, seed=0)
    assert torch.equal(copy_(points), network(points))
    buffer = io.BytesIO()
    torch.save(network.module, buffer)
    buffer.seek(0)
    assert torch.equal(torch.load(buffer, weights_only=False)(points), network(points))


def classical_pairing(polynomials) -> int:
    """Count the products of the textbook greedy pairing, written as plainly as possible: an oracle of the sharing."""
    monomials = {m for p in polynomials for m, _ in monomials_of(p)}
    state, made = [Counter({((v, 1),): k for v, k in m}) for m in monomials], set()
    while True:
        counts = Counter()
        for factors in state:
            for a, b in combinations(sorted(factors), 2):
                counts[a, b] += min(factors[a], factors[b])
            for a in factors:
                if factors[a] > 1:
                    counts[a, a] += factors[a] // 2
        if not counts:
            return len(made)
        a, b = min(pair for pair, count in counts.items() if count == max(counts.values()))
        item = product_of((a, b))
        made.add(item)
        for factors in state:
            while factors[a] > 1 if a == b else factors[a] > 0 and factors[b] > 0:
                factors.subtract([a, b])
                factors[item] += 1
            for gone in [factor for factor, count in factors.items() if count == 0]:
                del factors[gone]


def test_sharing_needs_no_more_products_than_the_greedy_pairing():
    generator, fewer = np.random.default_rng(0), 0
    for _ in range(80):
        count = int(generator.integers(2, 9))
        names = tuple(f"x{i}" for i in range(count))
        polynomials = [
            SparsePolynomial(
                names,
                [
                    np.bincount(generator.integers(0, count, generator.integers(1, 7)), minlength=count)
                    for _ in range(9)
                ],
                generator.normal(size=9),
            )
            for _ in range(int(generator.integers(1, 4)))
        ]
        plans = shared_plans(polynomials, (1.0,) * count)
        ours, greedy = min(plan.products for plan in plans), classical_pairing(polynomials)
        assert ours <= greedy
        fewer += ours < greedy
    assert fewer > 20


def test_plans_of_every_schedule_compute_the_same():
    generator = np.random.default_rng(2)
    for _ in range(12):
        powers = np.array(
            [np.bincount(generator.integers(0, 4, generator.integers(1, 8)), minlength=4) for _ in range(6)]
        )
        p = SparsePolynomial(("a", "b", "c", "d"), powers, generator.normal(size=6))
        points = torch.from_numpy(generator.uniform(-1, 1, (50, 4)))
        kit = exact_kit(torch.float64)
        schedules = (
            shared_plan([p], (1.0,) * 4, late=False),
            shared_plan([p], (1.0,) * 4, late=True),
            paired_plan([p], (1.0,) * 4),
        )
        for plan in schedules:
            units = chosen_units(plan, kit, thrifty=True)
            blocks = [
                [block_of(g, u) for g, u in zip(level.gates, us, strict=True)]
                for level, us in zip(plan.levels, units, strict=True)
            ]
            module = assembled(blocks, plan.outputs, bounds=(1.0,) * 4, activation="squared_relu", dtype=torch.float64)
            error = float((module(points)[:, 0] - p(points)).detach().abs().max())
            assert error <= float(output_errors(plan, units, torch.float64)[0])


def test_compiling_draws_no_random_numbers():
    state = torch.get_rng_state()
    polynomial("x*y + y**2")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("name", "dtype", "tolerance"),
    [
        ("squared_relu", torch.float64, 1e-9),
        ("tanh", torch.float64, 1e-5),
        ("silu", torch.float64, 1e-6),
        ("relu", torch.float32, 1e-3),
        ("gelu", torch.float32, 1e-2),
    ],
)
def test_onnx_computes_the_same_within_the_bound(name, dtype, tolerance, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    network = polynomial("x1*x2*x3 + 2*x1**2", activation=name, dtype=dtype, tolerance=tolerance)
    points = sampled_inputs(network, samples=64, seed=2)
    path = str(tmp_path / "net.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network.module, (points,), path, input_names=["x"], output_names=["y"], dynamo=False)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.run(None, {"x": points.numpy()})[0][:, 0]
    truth = reference_values(network.polynomials[0], points.double().numpy())
    assert np.abs(found.astype(np.longdouble) - truth).max() <= network.error_bound


def test_a_perturbed_least_squares_network_trains_back_to_its_tolerance():
    network = polynomial("x*y", activation="softplus", gates="least-squares", tolerance=2e-3)
    module = copy.deepcopy(network.module)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    points = sampled_inputs(network, samples=400, seed=0)
    targets = points.prod(1)

    def worst() -> float:
        with torch.no_grad():
            return float((module(points)[:, 0] - targets).abs().max())

    assert worst() > 20 * network.error_bound
    optimizer = torch.optim.LBFGS(module.parameters(), max_iter=60, history_size=50, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = 1e4 * (module(points)[:, 0] - targets).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert worst() <= 2e-3


# ---------------------------------------------------------------- inputs of every kind


def test_sympy_pipelines_and_hamiltonians_are_read():
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    x, y = sympy.symbols("x y")
    assert polynomial((x + y) ** 2).polynomials == polynomial("x**2 + 2*x*y + y**2").polynomials
    points = np.random.default_rng(0).uniform(-1, 1, (60, 2))
    model = make_pipeline(PolynomialFeatures(3), LinearRegression()).fit(points, points[:, 0] ** 2 * points[:, 1] + 1)
    found = polynomial(model)(torch.from_numpy(points))[:, 0].detach().numpy()
    np.testing.assert_allclose(found, model.predict(points), rtol=0, atol=1e-6)
    energy = Hamiltonian("spin", parse("-0.5*a*b*c + 0.25*a")[0])
    network = polynomial(energy, activation="relu")
    assert network.kind == "spin"
    assert measured_error(network).error == 0.0


@pytest.mark.parametrize("fitted", [False, True])
def test_a_pipeline_that_is_not_fitted_or_has_other_steps_is_refused(fitted):
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    steps = (
        [PolynomialFeatures(2), StandardScaler(), LinearRegression()]
        if fitted
        else [PolynomialFeatures(2), LinearRegression()]
    )
    with pytest.raises(SettingError, match="pipeline"):
        polynomial(make_pipeline(*steps))


@pytest.mark.parametrize(
    ("expression", "options", "part"),
    [
        ("x*y", {"activation": "nonsense"}, "nonsense"),
        ("x*y", {"activation": "identity"}, "linear"),
        ("x*y", {"activation": "cube"}, "odd"),
        ("x*y", {"activation": "mish"}, "activations are"),
        ("x*y", {"tolerance": 0.0}, "tolerance"),
        ("x*y", {"tolerance": float("nan")}, "tolerance"),
        ("x*y", {"tolerance": 1e-12}, "squared_relu"),
        ("x*y", {"tolerance": 1e-18}, "best bound is"),
        ("x*y*z", {"tolerance": 1e-4, "dtype": torch.float32}, "reaches"),
        ("x*y", {"dtype": torch.float16}, "float32"),
        ("x*y*z", {"activation": "squared_relu", "layers": 1}, "at least 2 layers"),
        ("x*y*z", {"activation": "relu", "layers": 1, "tolerance": 0.1}, "at least 2 layers"),
        ("x*y", {"layers": 0}, "layers is 0"),
        ("x*y", {"layers": 1.5}, "layers"),
        ("x*y", {"gates": "wooden"}, "gates"),
        ("x*y", {"kind": "trit"}, "kind"),
        ("x*y", {"kind": "bit", "activation": "exp"}, "bits or spins"),
        ("x*y", {"domain": 0.0}, "half-width"),
        ("x*y", {"domain": float("inf")}, "half-width"),
        ("x*y", {"domain": (1.0,)}, "1 bounds for 2"),
        ("x*y", {"domain": {"x": 1.0}}, "no bounds for y"),
        ("x*y", {"domain": "wide"}, "wide"),
        ("x**100", {"domain": 1e4}, "beyond the range"),
        ("x**20", {"domain": 100.0, "dtype": torch.float32}, "beyond the range"),
        ("*".join(f"x{i}" for i in range(20)), {"layers": 1}, "1,048,576 neurons"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence_that_helps(expression, options, part):
    with pytest.raises(SettingError, match=part) as caught:
        polynomial(expression, **options)
    assert "\n" not in str(caught.value)


def test_weights_beyond_the_memory_allowed_are_refused_before_they_are_made(monkeypatch):
    for expression in ("x*y", "x*y + x**2, z", "x + y"):
        network = polynomial(expression)
        assert network.memory == 8 * sum(parameter.numel() for parameter in network.module.parameters())
    monkeypatch.setattr(assembly, "BYTES_AT_MOST", 100)
    with pytest.raises(SettingError, match="GiB"):
        polynomial("x*y*z")


@pytest.mark.parametrize(
    ("expression", "options", "neurons"),
    [
        ("x*y, 3", {}, 4),
        ("x, y", {}, 0),
        ("x - x", {"variables": ("x",)}, 0),
        ("x**1000", {"tolerance": 1e-3}, 38),  # nine squares of 2 neurons, five products of 4
        ("1e300*x*y + x", {"tolerance": 1e295}, 4),
        ("x*y", {"domain": 1e-100}, 4),
        ("x*y", {"layers": 7}, 4),
    ],
)
def test_extremes_are_compiled_like_anything_else(expression, options, neurons):
    network = polynomial(expression, **options)
    assert network.neurons == neurons
    assert measured_error(network, samples=200).error <= network.error_bound


def test_a_refused_tolerance_names_one_that_is_granted():
    with pytest.raises(SettingError) as caught:
        polynomial("x*y", tolerance=1e-18)
    granted = float(str(caught.value).split("tolerance=")[1])
    assert polynomial("x*y", tolerance=granted).error_bound <= granted


def test_the_curves_show_a_minimum_over_scales_and_two_to_the_n():
    curve = scale_curve("gelu", torch.float64)
    assert all(point.measured <= point.bound for point in curve)
    best = min(curve, key=lambda point: point.bound)
    assert best.scale == scale_and_bias("gelu", 2, torch.float64).scale
    assert curve[0].bound > 1e6 * best.bound < curve[-1].bound * 1e9
    counts = product_counts(20)[-1]
    assert (counts.factors, counts.tree, counts.one_layer, counts.two_layers) == (20, 76, 2**20, 112)


def test_wiring_names_every_neuron_and_its_place():
    network = polynomial("x1*x2*x3 + 2*x1**2")
    wires = network.wiring()
    assert {wire.label for wire in wires if wire.layer == 2} == {"x1*x2*x3", "sum of finished terms of output 1"}
    assert [wire.neuron for wire in wires if wire.layer == 1] == list(range(network.widths[0]))
    assert {wire.kind for wire in wires} == {"product", "pass"}


def test_an_error_beyond_what_units_allow_is_infinite():
    kit = taylor_kit("gelu", torch.float32)
    coarse = replace(
        kit, product=lambda powers: product_unit(smooth("gelu"), powers, scale=1.0, bias=0.0, dtype=torch.float32)
    )
    plan = shared_plan(parse("x*y*z*w"), (1.0,) * 4, late=False)
    assert np.isinf(output_errors(plan, chosen_units(plan, coarse, thrifty=False), torch.float32)).all()
