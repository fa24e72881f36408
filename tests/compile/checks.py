"""What every sound compiler of polynomials passes, as functions of the room, so that planted bugs can be shown to fail.

A check gets the room `rgflow.compile` as loaded now and raises AssertionError where a claim does not hold.
"""

import importlib
from itertools import product as every
from types import SimpleNamespace

import numpy as np
import torch

MODULES = (
    "compiling", "measuring", "unit", "kit", "smooth", "tents", "layered", "least_squares", "sharing", "parsing",
    "domain", "two_valued", "network", "accuracy", "assembly",
)  # fmt: skip
TWENTY = "*".join(f"x{i}" for i in range(1, 21))
CASES = (
    ("x1*x2*x3 + 2*x1**2", {}),
    ("x*y*z*w + x*y - z + 3", {"domain": {"x": 0.5, "y": 2, "z": 1, "w": 3}, "tolerance": 1e-5}),
    ("x**5 - x*y, x*y + y**3", {"activation": "silu"}),
    ("x*y*z - x", {"activation": "softplus", "tolerance": 1e-5}),
    ("x*y*z", {"activation": "exp", "tolerance": 1e-5, "layers": 1}),
    ("x*y*z + x", {"activation": "tanh", "tolerance": 1e-5}),
    ("x*y*z + x", {"activation": "sigmoid", "tolerance": 1e-5}),
    ("x*y*z + x", {"activation": "cos", "tolerance": 1e-5}),
    ("x**2*y + y", {"activation": "squared_relu", "tolerance": 1e-9}),
    ("x*y*z + x", {"activation": "relu", "tolerance": 1e-3}),
    ("x*y + y**2", {"activation": "gelu", "tolerance": 1e-3, "dtype": torch.float32}),
    ("x*y + y**2", {"activation": "softplus", "gates": "least-squares", "tolerance": 1e-4}),
    ("x*y", {"activation": "squared_relu", "tolerance": 1e-9}),
    ("a*b*c*d*e*f + a*b*g", {"activation": "exp", "layers": 2, "tolerance": 1e-2}),
    ("x + 2*y - 1", {}),
)


def load_room() -> SimpleNamespace:
    return SimpleNamespace(**{name: importlib.import_module(f"rgflow.compile.{name}") for name in MODULES})


def check_bounds_hold_and_are_tight(room) -> None:
    ratios = []
    for expression, settings in CASES:
        network = room.compiling.polynomial(expression, **settings)
        measured = room.measuring.measured_error(network, samples=2000).error
        assert measured <= network.error_bound <= network_tolerance(settings), (expression, measured)
        ratios.append(network.error_bound / max(measured, 1e-17))
    assert np.median(ratios) <= 4.0, ratios
    assert max(ratios) <= 200.0, ratios


def network_tolerance(settings) -> float:
    return settings.get("tolerance", 1e-6)


def check_counts_are_four_a_product(room) -> None:
    for n in range(2, 10):
        network = room.compiling.polynomial("*".join(f"x{i}" for i in range(n)), tolerance=1e-5)
        assert network.neurons == sum(network.widths) == 4 * (n - 1)
        assert network.layers == (n - 1).bit_length()
        assert len(network.wiring()) == network.neurons
    assert room.compiling.polynomial(TWENTY).neurons == 76


def check_one_layer_takes_two_to_the_n(room) -> None:
    for n in (2, 3, 4, 5):
        network = room.compiling.polynomial(
            "*".join(f"x{i}" for i in range(n)), layers=1, activation="exp", tolerance=0.1
        )
        assert (network.neurons, network.layers) == (2**n, 1)
    powers = room.compiling.polynomial("x**2*y**3", layers=1, activation="exp", tolerance=0.1)
    assert powers.neurons == 12  # (2 + 1)(3 + 1)
    assert room.measuring.measured_error(powers, samples=500).error <= powers.error_bound


def check_layer_counts(room) -> None:
    counts = [room.layered.equal_group_neurons(20, layers=k) for k in (1, 2, 3, 4)]
    assert counts == [2**20, 112, 92, 94]
    assert room.layered.fewest_neurons(20, layers=3, carry=1) == 76
    two = room.compiling.polynomial(TWENTY, layers=2, tolerance=0.1)
    assert (two.neurons, two.layers) == (112, 2)


def check_sharing(room) -> None:
    for expression, products, alone in (
        ("x*y*z + x*y*w", 2, 4),  # x*y once, times z + w
        ("x**16", 4, 15),
        ("a*b + a*c + a*d", 1, 3),
        ("a*b*c*d, a*b*e*f", 5, 6),
        ("a*b + c*d", 2, 2),
    ):
        found = room.compiling.polynomial(expression).sharing
        assert (found.products, found.products_alone) == (products, alone), expression


def check_tents_reach_their_bound(room) -> None:
    for m in (1, 2, 5):
        bound = room.tents.tent_bound(m)
        network = room.compiling.polynomial("x**2", activation="relu", layers=m, tolerance=2.0 * bound)
        points = torch.linspace(-1.0, 1.0, 2 ** (m + 2) + 1, dtype=torch.float64)[:, None]
        error = (network(points)[:, 0] - points[:, 0] ** 2).detach().abs().max()
        assert abs(float(error) - bound) <= 1e-13
        assert network.layers == m


def check_bits_and_spins_are_exact(room) -> None:
    for n in (1, 2, 3, 6):
        names = [f"x{i}" for i in range(n)]
        for kind, low, neurons in (("bit", 0.0, 1), ("spin", -1.0, n)):
            for activation in ("relu", "gelu", "sigmoid", "tanh"):
                network = room.compiling.polynomial(
                    "*".join(names), kind=kind, activation=activation, variables=tuple(names)
                )
                states = torch.tensor(list(every((low, 1.0), repeat=n)), dtype=torch.float64)
                error = float((network(states)[:, 0] - states.prod(1)).detach().abs().max())
                assert error <= network.error_bound <= 1e-12
                assert network.neurons == neurons


def check_least_squares_table(room) -> None:
    # errors of the sheet at 8, 12, .., 24 neurons, float64, and the largest weight
    for scales, error, largest in ((2, 2.8e-3, 11), (3, 1.4e-4, 21), (4, 6.8e-6, 35), (5, 3.3e-7, 51), (6, 1.6e-8, 69)):
        fit = room.least_squares.square_fit("softplus", scales=scales, bias=0.0, dtype=torch.float64)
        assert error / 1.5 <= fit.error / 2.0 <= 1.5 * error
        assert abs(np.abs(fit.weights).max() / largest - 1.0) <= 0.05
        assert np.abs(fit.scales).max() <= 1.5


def check_text_means_what_it_says(room) -> None:
    x = np.array([[0.3, -0.7]])
    for text, value in (
        ("-x**2", -0.09),
        ("2*x - y/2", 0.95),
        ("(x - y)**3", 1.0),
        ("x*-y", 0.21),
        ("pi*x + 0*y", 0.3 * np.pi),
    ):
        assert abs(room.parsing.parse(text, variables=("x", "y"))[0](x)[0] - value) <= 1e-14, text


def check_domains(room) -> None:
    assert room.domain.half_widths({"y": 2, "x": (-3, 1)}, ("x", "y")) == (3.0, 2.0)
    assert room.domain.half_widths(0.5, ("x", "y")) == (0.5, 0.5)


def check_rounding_of_activations(room) -> None:
    """PyTorch evaluates every activation to within the stated number of roundings, near 0 and at its biases."""
    for name in room.smooth.NAMES:
        if name == "relu":
            continue
        act = room.smooth.smooth(name)
        for centre in (0.0, 1.3169578969248166, -0.6584789484624084, 8.0):
            for radius in (1e-5, 1e-3, 0.1, 2.0):
                z = torch.linspace(centre - radius, centre + radius, 1001, dtype=torch.float64).float()
                error = act.module()(z).double().numpy() - act.derivative(0, z.double().numpy())
                assert np.abs(error).max() <= act.rounding * 2.0**-24 * act.supremum(0, centre, radius), (name, centre)


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]
