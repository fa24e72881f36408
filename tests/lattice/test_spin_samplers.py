"""Every sampler of spins against the sum over all states, and against Kaufman's energy of a 16 x 16 lattice.

Standard errors come from independent chains; limits hold for a false-alarm rate of 1e-6 over a case. With 192 chains of 300
sweeps an average of spins is known to about 0.005, so that a bias of 0.03 is seen.
"""

import numpy as np
import pytest
import torch

from lattice.sampler_checks import CASES, checkerboard_scores, exact_scores, glass
from lattice.small_systems import Term, averages, energies, scores, spin_states, torus_terms
from rgflow.errors import DeviceError, SettingError
from rgflow.lattice import Ising, PSpin, SpinGlass, sample, sample_checkerboard, temper
from rgflow.lattice.spin_models import pair_system, term_system
from rgflow.numerics.sparse_polynomial import SparsePolynomial
from rgflow.records import Hamiltonian
from tests.tolerances import ROUNDING, z_limit

KAUFMAN_16 = -1.1313180  # energy per spin of the 16 x 16 torus at T = 2.5, Kaufman 1949, Phys. Rev. 76, 1232
PAIRS = [(name, method) for name, case in CASES.items() for method in case.methods]


@pytest.mark.parametrize(("name", "method"), PAIRS)
def test_averages_match_the_sum_over_all_states(name, method):
    found = exact_scores(name, method)
    assert np.abs(found).max() < z_limit(len(found))


@pytest.mark.parametrize(("name", "method"), [("torus", "swendsen-wang"), ("random graph", "heat-bath")])
def test_the_comparison_with_all_states_would_see_couplings_wrong_by_ten_percent(name, method):
    case = CASES[name]
    model = Ising(coupling=np.asarray(case.model.coupling) * 1.1, field=case.model.field, edges=case.model.edges)
    found = sample(model, shape=case.shape, chains=192, sweeps=300, seed=0, method=method, discard=100)
    exact = averages(int(np.prod(case.shape)), case.terms)
    assert np.abs(scores(found.values, exact)).max() > z_limit(len(exact.values))


def test_the_checkerboard_in_torch_matches_the_sum_over_all_states():
    found = checkerboard_scores()
    assert np.abs(found).max() < z_limit(len(found))


@pytest.mark.parametrize("method", ["swendsen-wang", "wolff", "heat-bath", "bit-coded", "metropolis"])
def test_the_energy_of_a_larger_lattice_is_kaufmans(method):
    sweeps = 1000 if method in ("swendsen-wang", "wolff") else 4000
    found = sample(Ising(temperature=2.5), shape=(16, 16), chains=16, sweeps=sweeps, seed=1, method=method, every=4)
    assert found.reliable, found.reason
    assert found.energy.error * 2.5 < 0.004
    assert abs(found.energy.value * 2.5 - KAUFMAN_16) < z_limit(5) * found.energy.error * 2.5


def test_three_dimensions_agree_between_four_samplers():
    model = Ising(coupling=0.18, field=0.0)
    settings = {"shape": (4, 4, 4), "chains": 64, "sweeps": 400, "seed": 2}
    found = [sample(model, method=m, **settings).energy for m in ("swendsen-wang", "heat-bath", "bit-coded")]
    found.append(sample_checkerboard(model, **settings).energy)
    for one in found[1:]:
        assert abs(one.value - found[0].value) < z_limit(3) * np.hypot(one.error, found[0].error)


@pytest.mark.parametrize("coupling", [0.0, 1.25])
def test_bit_coding_is_right_at_infinite_and_at_low_temperature(coupling):
    exact = averages(12, torus_terms(3, 4, coupling=coupling)).values[0]
    found = sample(Ising(coupling=coupling), shape=(3, 4), chains=192, sweeps=2000, seed=3, method="bit-coded", every=4)
    means = torch.tensor(energies(found.values.flatten(2).numpy(), torus_terms(3, 4, coupling=coupling)) / 12).mean(1)
    if coupling == 0.0:
        assert float(found.values.mean()) == pytest.approx(0.0, abs=z_limit(1) / np.sqrt(found.values.numel()))
    else:
        # excitations of one flipped spin cost 16 K = 10 / (T / 2): some 2e-4 of the records hold one
        assert abs(float(means.mean()) - exact) < z_limit(1) * float(means.std()) / np.sqrt(192)
        assert float(means.std()) > 0.0


def _terms(model) -> list[Term]:
    if isinstance(model, PSpin):
        system = term_system(model, shape=(8,))
        return [(tuple(t), float(k)) for t, k in zip(system.groups[0].tolist(), system.couplings, strict=True)]
    system = pair_system(model, shape=(8,))
    return [(tuple(e), float(k)) for e, k in zip(system.edges.tolist(), system.couplings, strict=True)]


FAMILIES = {
    "gaussian": glass,
    "binary": lambda temperature: SpinGlass(temperature=temperature, graph="complete", disorder="binary"),
    "three-spin": lambda temperature: PSpin(order=3, temperature=temperature),
}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_tempering_matches_the_sum_over_all_states_at_every_temperature_and_its_exchange_rate(family):
    temperatures = (2.0, 1.0, 0.5)
    found = temper(family, temperatures=temperatures, shape=(8,), chains=100, sweeps=400, seed=0, discard=100)
    assert found.reliable, found.reason
    states = spin_states(8)
    weights, tables = [], []
    for temperature, samples in zip(temperatures, found.samples, strict=True):
        terms = _terms(family(temperature))
        exact = averages(8, terms)
        assert np.abs(scores(samples.values, exact)).max() < z_limit(3 * len(exact.values))
        tables.append(energies(states, terms))
        weights.append(np.exp(-tables[-1]) / np.exp(-tables[-1]).sum())
    for t in range(2):
        gain = tables[t] - tables[t + 1]
        rate = np.minimum(1.0, np.exp(gain[:, None] - gain[None, :]))
        exact_rate = float(weights[t] @ rate @ weights[t + 1])
        # 20,000 proposals, correlated over some tens of sweeps
        assert abs(found.swap_rates[t] - exact_rate) < z_limit(2) * np.sqrt(0.25 * 40 / 20_000)
    assert found.round_trips > 1000


@pytest.mark.parametrize(
    ("family", "temperatures", "words"),
    [
        (glass, (1.0,), "at least 2"),
        (lambda t: PSpin(order=3, temperature=t, terms=[[0, 1, int(t)]]), (2.0, 3.0), "different edges or terms"),
        (lambda t: "glass", (2.0, 3.0), "gives a str"),
    ],
)
def test_a_family_that_cannot_be_tempered_is_refused(family, temperatures, words):
    with pytest.raises(SettingError, match=words):
        temper(family, temperatures=temperatures, shape=(8,), chains=1, sweeps=10, seed=0)


def test_a_ladder_with_too_wide_steps_says_so():
    found = temper(
        lambda temperature: SpinGlass(temperature=temperature, disorder="binary"),
        temperatures=(50.0, 0.3), shape=(12, 12), chains=4, sweeps=300, seed=0,
    )  # fmt: skip
    assert found.swap_rates[0] < 0.01
    assert not found.reliable
    assert found.reason


@pytest.mark.parametrize("method", [None, "wolff", "heat-bath", "bit-coded", "metropolis", "checkerboard", "tempering"])
def test_one_seed_gives_one_result_and_two_seeds_give_two(method):
    def drawn(seed: int) -> torch.Tensor:
        settings = {"shape": (4, 4), "chains": 3, "sweeps": 20, "seed": seed}
        if method == "checkerboard":
            return sample_checkerboard(Ising(temperature=3.0), **settings).values
        if method == "tempering":
            return temper(glass, temperatures=(2.0, 1.0), **settings).samples[1].values
        return sample(Ising(temperature=3.0), method=method, **settings).values

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))
    first = drawn(0)
    assert not torch.equal(first[0], first[1])


def test_the_best_valid_method_is_picked():
    frustrated = Ising(coupling=[0.5, 0.5, -0.5], edges=[[0, 1], [1, 2], [0, 2]])
    settings = {"chains": 2, "sweeps": 8, "seed": 0}
    assert sample(Ising(temperature=2.0), shape=(4, 4), **settings).method == "swendsen-wang"
    assert sample(Ising(coupling=-0.3), shape=(4, 4), **settings).method == "swendsen-wang"
    assert sample(Ising(coupling=-0.3), shape=(3, 4), **settings).method == "heat-bath"
    assert sample(Ising(temperature=2.0, field=0.1), shape=(4, 4), **settings).method == "heat-bath"
    assert sample(frustrated, shape=3, **settings).method == "heat-bath"


@pytest.mark.parametrize(
    ("model", "method", "words"),
    [
        (Ising(temperature=2.0, field=0.1), "wolff", "field"),
        (SpinGlass(temperature=1.0), "swendsen-wang", "frustrated"),
        (SpinGlass(temperature=1.0), "bit-coded", "one size"),
        (Ising(temperature=2.0, field=np.arange(16.0)), "bit-coded", "one field"),
        (SpinGlass(temperature=1.0, graph="complete", disorder="binary"), "bit-coded", "15 neighbours"),
        (PSpin(order=3), "wolff", "heat-bath, metropolis"),
        (Ising(temperature=2.0), "gibbs", "swendsen-wang"),
        ("ising", None, "no method samples a str"),
        (Hamiltonian("bit", SparsePolynomial(("a",), [[1]], [1.0])), None, "spins"),
    ],
)
def test_an_invalid_method_is_refused_in_a_sentence_that_says_why(model, method, words):
    with pytest.raises(SettingError, match=words) as error:
        sample(model, shape=(4, 4), chains=2, sweeps=10, seed=0, method=method)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"chains": 0}, "chains is 0"),
        ({"sweeps": 1, "every": 2}, "sweeps >= every"),
        ({"discard": -1}, "discard is -1"),
        ({"shape": (2, 4)}, "every side"),
        ({"sweeps": 10**9}, "raise `every`"),
    ],
)
def test_settings_out_of_range_are_refused(settings, words):
    given = {"shape": (4, 4), "chains": 2, "sweeps": 10, "seed": 0} | settings
    with pytest.raises(SettingError, match=words):
        sample(Ising(temperature=2.0), **given)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Ising(), "exactly one"),
        (lambda: Ising(coupling=1.0, temperature=1.0), "exactly one"),
        (lambda: Ising(temperature=-1.0), "temperature is -1"),
        (lambda: Ising(coupling=np.inf), "finite"),
        (lambda: SpinGlass(temperature=1.0, disorder="levy"), "disorder is 'levy'"),
        (lambda: PSpin(order=3, terms=[[0, 1]]), "terms has shape"),
        (lambda: pair_system(Ising(coupling=[1.0, 2.0], edges=[[0, 1]]), shape=(2,)), "coupling has 2"),
        (lambda: pair_system(Ising(coupling=1.0, edges=[[0, 5]]), shape=(3,)), "names site 5"),
        (lambda: pair_system(Ising(coupling=1.0, edges=[[1, 1]]), shape=(3,)), "itself"),
        (lambda: term_system(PSpin(order=2, terms=[[1, 1]]), shape=(3,)), "twice"),
        (lambda: term_system(PSpin(order=9), shape=(100,)), "list fewer"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused(build, words):
    with pytest.raises(SettingError, match=words):
        build()


def test_the_checkerboard_refuses_odd_sides_other_graphs_and_missing_devices():
    settings = {"chains": 1, "sweeps": 4, "seed": 0}
    with pytest.raises(SettingError, match="even"):
        sample_checkerboard(Ising(temperature=2.0), shape=(3, 4), **settings)
    with pytest.raises(SettingError, match="sample"):
        sample_checkerboard(Ising(coupling=1.0, edges=[[0, 1]]), shape=(4, 4), **settings)
    with pytest.raises(DeviceError, match="cannot be used"):
        sample_checkerboard(Ising(temperature=2.0), shape=(4, 4), device="cuda:99", **settings)


def test_the_disorder_of_a_glass_depends_on_its_own_seed_alone_and_scales_with_temperature():
    cold, warm = (pair_system(SpinGlass(temperature=t, disorder_seed=3), shape=(4, 4)).couplings for t in (0.5, 1.0))
    other = pair_system(SpinGlass(temperature=1.0, disorder_seed=4), shape=(4, 4)).couplings
    np.testing.assert_allclose(cold, 2.0 * warm, rtol=ROUNDING)
    assert not np.allclose(warm, other)
    complete = pair_system(SpinGlass(temperature=1.0, graph="complete", disorder="binary"), shape=(50,)).couplings
    np.testing.assert_allclose(complete**2, 1.0 / 50, rtol=ROUNDING)


def test_couplings_of_a_complete_p_spin_model_have_their_variance():
    couplings = term_system(PSpin(order=3, temperature=0.5), shape=(30,)).couplings
    exact = 4.0 * 6.0 / (2.0 * 30**2)  # (1 / T^2) p! / (2 N^(p-1))
    assert abs((couplings**2).mean() / exact - 1.0) < z_limit(1) * np.sqrt(2.0 / len(couplings))
