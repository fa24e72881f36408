import numpy as np
import pytest
from sklearn.datasets import load_digits, load_wine

from rgflow.errors import DataError, SettingError
from rgflow.structure.compression import coded_bits, compressibility, gaussian_saving
from rgflow.structure.null_data import phase_randomised
from tests.structure.ising_samples import ising_samples
from tests.tolerances import ROUNDING, z_limit

GENERATOR = np.random.default_rng(0)


def ising(temperature):
    return ising_samples(16, temperature, samples=600, seed=0)


def test_spins_near_criticality_are_more_compressible_than_every_null_and_coins_are_not():
    found = compressibility(ising(2.3), grid=(16, 16), seed=0)
    assert found.verdict == "yes"
    assert [null.name for null in found.nulls] == ["shuffled", "phase-randomised", "white noise"]
    assert all(found.estimate.value < null.low for null in found.nulls)
    coins = compressibility(GENERATOR.choice([-1.0, 1.0], size=(600, 64)), grid=(8, 8), seed=0)
    assert coins.verdict == "no"
    assert coins.estimate.value >= 1.0


def test_digits_and_wine_are_compressible_and_noise_is_not():
    assert compressibility(load_digits().data[:900], grid=(8, 8), seed=0).verdict == "yes"
    assert compressibility(load_wine().data, seed=0).verdict == "yes"
    assert compressibility(GENERATOR.standard_normal((400, 10)), seed=0).verdict == "no"


def test_a_gaussian_field_saves_no_more_than_its_spectrum_explains():
    white = GENERATOR.standard_normal((600, 64))
    smooth = np.fft.irfft(np.fft.rfft(white, axis=1) / (0.2 + np.arange(33)), n=64, axis=1)
    found = compressibility(phase_randomised(smooth, grid=(64,), seed=1, ensemble=True), grid=(64,), seed=0)
    assert found.verdict == "undetermined"
    assert "spectrum explains" in found.sentence


def test_noise_is_called_compressible_no_more_often_than_the_level_says():
    verdicts = [
        compressibility(np.random.default_rng(s).standard_normal((64, 6)), level=0.05, draws=4, seed=s).verdict
        for s in range(40)
    ]
    # 0.05 for shuffled columns alone, and both nulls must be beaten: at most 2 of 40 expected.
    assert sum(verdict != "no" for verdict in verdicts) <= 2 + z_limit(1) * np.sqrt(2)


def test_coded_bits_lie_between_the_entropy_and_the_byte():
    coins = GENERATOR.choice([0.0, 1.0], size=(2000, 64), p=[0.9, 0.1])
    entropy = -(0.9 * np.log2(0.9) + 0.1 * np.log2(0.1))
    assert entropy < coded_bits(coins, grid=(8, 8)) < 1.5 * entropy
    eight = GENERATOR.integers(0, 8, size=(2000, 64))
    assert 3.0 < coded_bits(eight, grid=(8, 8)) < 3.3
    assert coded_bits(np.zeros((2000, 64)), grid=(8, 8)) < 0.05


def test_the_code_without_a_grid_does_not_depend_on_the_order_of_columns():
    samples = load_wine().data
    order = np.random.default_rng(0).permutation(13)
    assert coded_bits(samples[:, order]) == pytest.approx(coded_bits(samples), rel=ROUNDING)


def test_the_saving_of_a_gaussian_is_its_log_determinant():
    mixing = np.array([[1.0, 0.0], [0.8, 0.6]])
    samples = GENERATOR.standard_normal((2000, 2)) @ mixing.T
    exact = -np.log2(1 - 0.8**2) / 4
    # d(saving) / d(correlation) = r / (2 log 2 (1 - r^2)), error of r: (1 - r^2) / sqrt(samples); ridge: 2 r^2 * 0.001.
    error = 0.8 / (2 * np.log(2)) / np.sqrt(2000)
    assert abs(gaussian_saving(samples) - exact) < z_limit(1) * error + 0.002
    assert gaussian_saving(np.ones((20, 3))) == 0.0


def test_the_error_bar_covers_another_draw():
    first, second = (compressibility(ising_samples(8, 2.5, samples=500, seed=s), grid=(8, 8), seed=0) for s in (1, 2))
    error = np.hypot(first.estimate.error, second.estimate.error)
    assert 0 < error < 0.05
    assert abs(first.estimate.value - second.estimate.value) < z_limit(1) * error


def test_a_seed_fixes_the_nulls_and_another_changes_them():
    samples = load_wine().data
    first, again, other = (compressibility(samples, seed=s) for s in (0, 0, 1))
    assert first == again
    assert first != other


def test_too_little_is_refused():
    with pytest.raises(DataError, match="at least 16"):
        compressibility(np.zeros((5, 2)), seed=0)
    with pytest.raises(SettingError, match="at least 3"):
        compressibility(np.zeros((50, 2)), draws=1, seed=0)
    with pytest.raises(DataError, match="NaN"):
        compressibility(np.full((50, 2), np.nan), seed=0)
