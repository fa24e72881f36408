"""One-line mutations of certificates, flattening, Hamiltonians and selection, each of which a check must catch.

The mutated source is compiled in memory and imported in place of the real module; the real modules are restored after.
"""

import pytest

from tests.compile.certify_checks import CHECKS, MODULES, load_room
from tests.planting import raises, reimported

# check that must object, module, the line as it is, the line with the bug
BUGS = [
    (
        "ranks_of_rational_matrices_are_exact",
        "numerics.exact_rank",
        "if rank == min(shape) or count * _PRIME_BITS",
        "if rank == min(shape) or count * 10000",
    ),
    (
        "ranks_of_generic_entries_are_those_of_a_transcendental_number",
        "numerics.exact_rank",
        "matrix[marked] *= bound + 2",
        "matrix[marked] *= 2",
    ),
    (
        "ranks_of_rational_matrices_are_exact",
        "numerics.exact_rank",
        "math.lcm(scale[entry.row], entry.value.denominator)",
        "entry.value.denominator",
    ),
    (
        "derivatives_at_zero_are_those_of_the_functions",
        "compile.jets",
        '"softplus": (range(1), math.log(2.0)),',
        '"softplus": (range(0), 1.0),',
    ),
    (
        "derivatives_at_zero_are_those_of_the_functions",
        "compile.jets",
        '"gelu": (range(2, 100, 2), 1.0 / math.sqrt(2.0 * math.pi)),',
        '"gelu": (range(0), 1.0),',
    ),
    (
        "derivatives_at_zero_are_those_of_the_functions",
        "compile.jets",
        "_riccati(Fraction(0), constant=1, linear=0, square=-1)",
        "_riccati(Fraction(0), constant=1, linear=0, square=1)",
    ),
    (
        "derivatives_at_zero_are_those_of_the_functions",
        "compile.jets",
        "factorial * value for factorial, value",
        "value for factorial, value",
    ),
    (
        "the_bounds_of_the_verified_sheet_are_reached_or_passed",
        "compile.moment_matrix",
        "coefficient * math.prod(map(math.factorial, s)) / jet",
        "coefficient / jet",
    ),
    (
        "bounds_follow_the_derivatives",
        "compile.moment_matrix",
        "* math.prod(map(math.factorial, s)) / jet.rational[degree]",
        "* math.prod(map(math.factorial, s))",
    ),
    (
        "several_outputs_share_their_neurons",
        "compile.moment_matrix",
        "rows.setdefault((output, left), len(rows))",
        "rows.setdefault((0, left), len(rows))",
    ),
    (
        "the_bounds_of_the_verified_sheet_are_reached_or_passed",
        "compile.completion_rank",
        "blocks.append(_block(matrix, rows, columns, sign=-1))",
        "pass",
    ),
    ("bounds_follow_the_derivatives", "compile.completion_rank", "if row + column in known", "if True"),
    (
        "the_bounds_of_the_verified_sheet_are_reached_or_passed",
        "compile.completion_rank",
        "any(choice < other for other in choices)",
        "any(choice > other for other in choices)",
    ),
    (
        "the_bounds_of_the_verified_sheet_are_reached_or_passed",
        "compile.width_bound",
        "return frozenset(produced - supplied)",
        "return frozenset(produced)",
    ),
    (
        "the_bounds_of_the_verified_sheet_are_reached_or_passed",
        "compile.width_bound",
        '"odd": (2, 1)}',
        '"odd": (2, 0)}',
    ),
    (
        "the_bounds_of_the_verified_sheet_are_reached_or_passed",
        "compile.width_bound",
        "key=lambda block: block.rank)[-1:]",
        "key=lambda block: block.rank)[:1]",
    ),
    (
        "the_trade_off_finds_the_network_at_the_bound_and_none_below",
        "compile.weight_trade_off",
        "bounds=(-bound, bound),",
        "bounds=(-100.0, 100.0),",
    ),
    (
        "the_trade_off_finds_the_network_at_the_bound_and_none_below",
        "compile.weight_trade_off",
        "/ jet.number(sum(s))",
        "* jet.number(sum(s))",
    ),
    ("factors_multiply_to_their_map", "compile.flattening", "first[:, order] = factors[0]", "first[:, :] = factors[0]"),
    (
        "factors_multiply_to_their_map",
        "compile.flattening",
        "factor[top + half, top + half] = -weights",
        "factor[top + half, top + half] = weights",
    ),
    (
        "factors_multiply_to_their_map",
        "compile.flattening",
        "torch.cat([matrix.real, -matrix.imag], 1)",
        "torch.cat([matrix.real, matrix.imag], 1)",
    ),
    (
        "strassen_is_exact_and_its_certificate_weak",
        "compile.bilinear",
        "[1, -1, 1, 0, 0, 1, 0]]",
        "[1, 1, 1, 0, 0, 1, 0]]",
    ),
    (
        "hamiltonians_have_their_energy_and_refuse_other_values",
        "records.hamiltonian",
        "samples[:, site, None] == torch.arange",
        "samples[:, site, None] >= torch.arange",
    ),
    (
        "hamiltonians_have_their_energy_and_refuse_other_values",
        "records.hamiltonian",
        "(samples < 0) | (samples >= most)",
        "(samples < 0) | (samples > most)",
    ),
    (
        "hamiltonians_have_their_energy_and_refuse_other_values",
        "records.hamiltonian",
        "len(np.unique(rows * self.sites + site)) < len(site)",
        "len(np.unique(rows * self.sites + site)) < 0",
    ),
    (
        "gaussian_classes_are_bayes_and_so_is_their_network",
        "compile.class_hamiltonians",
        "torch.where(upper[0] == upper[1], 0.5, 1.0)",
        "torch.where(upper[0] == upper[1], 0.5, 0.5)",
    ),
    (
        "gaussian_classes_are_bayes_and_so_is_their_network",
        "compile.class_hamiltonians",
        "-shares.log() + (fields * centres).sum(-1) / 2.0",
        "-shares.log() + (fields * centres).sum(-1)",
    ),
    (
        "gaussian_classes_are_bayes_and_so_is_their_network",
        "compile.class_hamiltonians",
        "-torch.stack([h.energy(samples) for h in self.hamiltonians], dim=1) - self",
        "-torch.stack([h.energy(samples) for h in self.hamiltonians], dim=1) + self",
    ),
    (
        "monomials_and_their_selection_are_as_told",
        "compile.monomial_selection",
        "r.score >= best.score - best.error",
        "r.score >= best.score",
    ),
    (
        "monomials_and_their_selection_are_as_told",
        "compile.monomial_selection",
        "-np.logaddexp(0.0, np.where(labels == 1, -logits, logits))",
        "-np.logaddexp(0.0, logits)",
    ),
    (
        "monomials_and_their_selection_are_as_told",
        "compile.monomials",
        "itertools.combinations_with_replacement(range(variables), k)",
        "itertools.combinations(range(variables), k)",
    ),
    (
        "gaussian_classes_are_bayes_and_so_is_their_network",
        "compile.posterior_network",
        "layer.bias.copy_(torch.from_numpy(-mean[used] / scale[used]))",
        "layer.bias.zero_()",
    ),
    (
        "inputs_that_no_class_uses_do_not_reach_the_network",
        "compile.posterior_network",
        "weight[torch.arange(len(used)), torch.from_numpy(used)]",
        "weight[torch.arange(len(used)), torch.arange(len(used))]",
    ),
    ("coefficients_are_read_as_typed", "compile.exact_terms", '"Float": Rational', '"Float": Integer'),
]


@pytest.mark.parametrize(("check", "module", "line", "bug"), BUGS, ids=[f"{bug[1]}-{bug[2][:40]}" for bug in BUGS])
def test_a_planted_bug_is_caught(check: str, module: str, line: str, bug: str):
    with reimported(module, line, bug, modules=MODULES):
        assert raises([known for known in CHECKS if known.__name__ == check], load_room())


def test_reloading_the_room_unchanged_is_not_mistaken_for_a_bug():
    _, module, line, _ = BUGS[0]
    with reimported(module, line, line, modules=MODULES):
        assert not raises(CHECKS, load_room())
