"""One-line bugs planted in generated physics and in the handling of flaws; a named check must fail for each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datasets import test_cleaning as cleaning
from datasets import test_physics as physics
from tests.planting import planted

TABLE = pd.DataFrame(cleaning.VALUES, columns=["a", "b", "c"])


def evidence(spec: str) -> Callable[..., None]:
    return lambda tmp_path: physics.test_data_carry_their_lattice_unit_and_evidence(spec)


def alone(check: Callable[..., None], *arguments: Any) -> Callable[..., None]:
    return lambda tmp_path: check(*arguments)


def filed(check: Callable[..., None], *arguments: Any) -> Callable[..., None]:
    return lambda tmp_path: check(tmp_path, TABLE, *arguments)


def patched(check: Callable[..., None]) -> Callable[..., None]:
    def run(_tmp_path: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            check(patch)

    return run


ISING = alone(physics.test_ising_data_have_the_exact_energy_of_their_lattice, 1.8)
XY = alone(physics.test_xy_data_are_unit_vectors_that_obey_the_identity_of_their_energy)
PHI4 = alone(physics.test_phi4_data_obey_the_virial_identity_of_the_numbers_in_their_name)
NOISE = alone(physics.test_noise_is_white_and_of_the_law_in_its_name)
TARGETLESS = filed(cleaning.test_rows_without_a_target_are_dropped_or_refused)
MOSTLY = filed(cleaning.test_a_column_that_is_mostly_missing_goes_before_it_costs_the_rows)
CONSTANT = filed(cleaning.test_constant_columns_of_a_table_go_unless_they_are_to_be_kept)
ALONG = alone(cleaning.test_rows_left_out_of_a_data_set_take_their_targets_along)
UNITS = filed(cleaning.test_columns_that_repeat_another_in_other_units_are_found)
NORMAL = alone(cleaning.test_normal_data_have_no_outliers)
SPINS = alone(cleaning.test_missing_spins_take_the_most_frequent_spin_and_stay_spins)
TEXTS = filed(cleaning.test_missing_texts_are_missing_entries)
ROWS = filed(cleaning.test_rows_with_missing_or_infinite_entries_are_dropped_counted_and_named, ".csv")
INDEX = filed(cleaning.test_a_saved_row_index_is_left_out_and_a_nameless_measurement_is_not)
APART = alone(physics.test_correlated_records_are_drawn_again_further_apart)
TOO_SHORT = physics.test_chains_that_are_too_short_say_so

BUGS = [
    ("physics", 'Ising(temperature=options["T"])', 'Ising(coupling=options["T"])', ISING),
    ("physics", 'XY(temperature=options["T"])', 'XY(coupling=options["T"])', XY),
    ("physics", "torch.cos(angles), torch.sin(angles)", "torch.sin(angles), torch.sin(angles)", XY),
    (
        "physics",
        'quartic=options["lambda"], coupling=options["kappa"]',
        'quartic=options["kappa"], coupling=options["lambda"]',
        PHI4,
    ),
    ("independent_samples", ">= _INDEPENDENT * total", ">= 0.0 * total", APART),
    ("independent_samples", "if share < _INDEPENDENT:", "if share < 0.0:", patched(TOO_SHORT)),
    ("physics", "periodic=bool(grid)", "periodic=False", evidence("xy:4x5:T=1")),
    ("physics", 'return self.options.get("seed", 0)', "return 0", evidence("noise:4x5")),
    ("physics", "* 2.0 - 1.0 if spins", "* 1.0 if spins", NOISE),
    ("cleaning", "np.flatnonzero(~absent)", "np.flatnonzero(absent)", TARGETLESS),
    ("cleaning", "share > _MOSTLY if", "share > 1.0 if", MOSTLY),
    ("cleaning", "(rule is None and table.lattice)", "rule is None", CONSTANT),
    (
        "cleaning",
        "None if whole.targets is None else whole.targets[rows]",
        "None if whole.targets is None else whole.targets[: len(rows)].flip(0)",
        ALONG,
    ),
    (
        "cleaning",
        "raw.targets is None else raw.targets[rows]",
        "raw.targets is None else raw.targets[: len(rows)]",
        TARGETLESS,
    ),
    ("flaws", "np.round(scaled * np.sign(lead), _DIGITS)", "np.round(scaled, _DIGITS)", UNITS),
    ("flaws", "np.round(scaled * np.sign(lead), _DIGITS)", "np.round(scaled * np.sign(lead), 0)", UNITS),
    ("flaws", "far.max() > _FAR", "far.max() > 3.0", NORMAL),
    ("feature_table", "kinds[counts.argmax()] if few else given.mean()", "given.mean()", SPINS),
    (
        "feature_table",
        "np.where(absent, np.nan, (entries == label).astype(np.float64))",
        "(entries == label).astype(np.float64)",
        TEXTS,
    ),
    ("raw", "values[~np.isfinite(values)] = np.nan", "pass", ROWS),
    ("raw", "and _counts_rows(columns[k])", "", INDEX),
]


@pytest.mark.parametrize(("module", "sound", "broken", "check"), BUGS, ids=[f"{b[0]}: {b[2][:40]}" for b in BUGS])
def test_a_planted_bug_is_caught(tmp_path: Path, module: str, sound: str, broken: str, check: Any) -> None:
    with planted(f"datasets.{module}", sound, broken), pytest.raises((AssertionError, ValueError)):
        check(tmp_path)
