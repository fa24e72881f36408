import numpy as np
import pytest
import torch
from scipy import stats

from rgflow.errors import DataError, SettingError
from rgflow.structure.null_data import (
    haar_rotation,
    matched_to,
    null_value,
    phase_randomised,
    rotated_basis,
    shuffled_columns,
    shuffled_labels,
    white_noise,
)
from tests.tolerances import ROUNDING, z_limit

GENERATOR = np.random.default_rng(0)
SAMPLES = GENERATOR.standard_normal((40, 30)) @ GENERATOR.standard_normal((30, 30))
SPINS = np.sign(SAMPLES)

NULLS = {
    "shuffled": lambda seed: shuffled_columns(SAMPLES, seed=seed),
    "phases": lambda seed: phase_randomised(SAMPLES, grid=(5, 6), seed=seed),
    "ensemble": lambda seed: phase_randomised(SAMPLES, grid=(5, 6), seed=seed, ensemble=True),
    "rotated": lambda seed: rotated_basis(SAMPLES, seed=seed),
    "whitened": lambda seed: rotated_basis(SAMPLES, seed=seed, whiten=True),
    "noise": lambda seed: white_noise(SAMPLES, seed=seed),
    "labels": lambda seed: shuffled_labels(np.arange(40), seed=seed),
}


@pytest.mark.parametrize("name", NULLS)
def test_a_seed_fixes_the_null_and_another_seed_changes_it(name):
    assert torch.equal(NULLS[name](3), NULLS[name](3))
    assert not torch.equal(NULLS[name](3), NULLS[name](4))


def test_shuffling_keeps_every_column_and_breaks_rows():
    shuffled = shuffled_columns(SAMPLES, seed=0).numpy()
    assert np.array_equal(np.sort(shuffled, 0), np.sort(SAMPLES, 0))
    order = np.argsort(np.argsort(shuffled, 0), 0) == np.argsort(np.argsort(SAMPLES, 0), 0)
    assert order.mean() < 0.2


@pytest.mark.parametrize("grid", [(30,), (5, 6), (6, 5), (2, 3, 5)])
def test_phases_are_lost_and_amplitudes_kept_exactly(grid):
    fields = SAMPLES.reshape(40, *grid)
    surrogate = phase_randomised(SAMPLES, grid=grid, seed=1).numpy().reshape(fields.shape)
    axes = tuple(range(1, fields.ndim))
    before, after = np.fft.fftn(fields, axes=axes), np.fft.fftn(surrogate, axes=axes)
    np.testing.assert_allclose(np.abs(after), np.abs(before), rtol=0, atol=1e3 * ROUNDING * np.abs(before).max())
    np.testing.assert_allclose(surrogate.mean(axes), fields.mean(axes), rtol=0, atol=ROUNDING * np.abs(fields).max())
    assert np.abs(surrogate - fields).mean() > np.abs(fields).mean() / 2


def test_random_phases_lie_evenly_on_the_circle():
    surrogate = phase_randomised(np.repeat(SAMPLES[:1], 400, axis=0), grid=(30,), seed=2).numpy()
    phases = np.angle(np.fft.rfft(surrogate, axis=1)[:, 1:15])
    for harmonic in (1, 2):
        mean = np.exp(1j * harmonic * phases).mean()
        assert abs(mean) < z_limit(2) / np.sqrt(2 * phases.size)  # a mean of unit vectors: variance 1/2 a component


def test_the_ensemble_keeps_the_mean_spectrum_and_becomes_gaussian():
    fields = np.random.default_rng(1).laplace(size=(2000, 16)) * 2.0
    surrogate = phase_randomised(fields, grid=(16,), seed=0, ensemble=True).numpy()
    power = lambda x: np.abs(np.fft.rfft(x, axis=1)[:, 1:8]) ** 2  # noqa: E731
    error = np.sqrt((power(fields).var(0) + power(surrogate).var(0)) / 2000)
    assert (np.abs(power(fields).mean(0) - power(surrogate).mean(0)) < z_limit(7) * error).all()
    kurtosis = stats.kurtosis((surrogate - surrogate.mean(1, keepdims=True)).ravel())
    assert abs(kurtosis) < z_limit(1) * np.sqrt(24 / surrogate.size)
    assert stats.kurtosis((fields - fields.mean(1, keepdims=True)).ravel()) > 1


def test_channels_keep_their_own_spectra():
    both = np.concatenate([SAMPLES[:, :15], 3 * SAMPLES[:, 15:]], axis=1)
    surrogate = phase_randomised(both, grid=(15,), seed=0).numpy()
    for part in (slice(0, 15), slice(15, 30)):
        spectra = [np.abs(np.fft.rfft(x[:, part], axis=1)) for x in (both, surrogate)]
        np.testing.assert_allclose(*spectra, rtol=0, atol=1e3 * ROUNDING * spectra[0].max())


def test_values_are_brought_back_by_rank():
    field = phase_randomised(SPINS, grid=(5, 6), seed=0)
    spins = matched_to(field, SPINS).numpy()
    assert np.array_equal(spins.sum(0), SPINS.sum(0))
    for column, values in zip(spins.T, field.numpy().T, strict=True):
        if -30 < column.sum() < 30:
            assert values[column > 0].min() >= values[column < 0].max()


def test_a_rotation_is_orthogonal_and_haar():
    rotations = np.stack([haar_rotation(4, seed=s).numpy() for s in range(600)])
    np.testing.assert_allclose(
        rotations @ rotations.swapaxes(1, 2), np.broadcast_to(np.eye(4), (600, 4, 4)), atol=1e-13
    )
    # Entries of a Haar matrix: mean 0, mean square 1/4, E x^4 = 3 / (n (n + 2)) = 1/8.
    for power, mean, square in ((1, 0.0, 1 / 4), (2, 1 / 4, 1 / 8)):
        found = (rotations**power).mean(0)
        assert (np.abs(found - mean) < z_limit(32) * np.sqrt((square - mean**2) / 600)).all()


def test_rotating_standardised_variables_keeps_the_spectrum_and_whitening_removes_it():
    standard = (SAMPLES - SAMPLES.mean(0)) / SAMPLES.std(0)
    turned = rotated_basis(SAMPLES, seed=0).numpy()
    spectra = [np.linalg.svd(x, compute_uv=False) for x in (standard, turned)]
    np.testing.assert_allclose(*spectra, rtol=1e3 * ROUNDING)
    white = rotated_basis(SAMPLES[:, :10], seed=0, whiten=True).numpy()
    np.testing.assert_allclose(white.T @ white / 40, np.eye(10), atol=1e3 * ROUNDING)


def test_noise_has_the_means_and_variances_of_columns_and_the_alphabet_of_spins():
    wide = np.repeat(SAMPLES[:, :3], 500, axis=0)
    noise = white_noise(wide, seed=0).numpy()
    assert (np.abs(noise.mean(0) - wide.mean(0)) < z_limit(3) * wide.std(0) / np.sqrt(len(wide))).all()
    assert (np.abs(noise.var(0) / wide.var(0) - 1) < z_limit(3) * np.sqrt(2 / len(wide))).all()
    coins = white_noise(SPINS, seed=0).numpy()
    assert set(np.unique(coins)) == {-1.0, 1.0}
    assert abs(coins.mean()) < z_limit(1) / np.sqrt(coins.size)


def test_the_band_of_a_null_holds_95_of_100_further_draws():
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        band = null_value("shuffled", generator.standard_normal(6))
        inside += band.low <= generator.standard_normal() <= band.high
    assert abs(inside / 2000 - 0.95) < z_limit(1) * np.sqrt(0.95 * 0.05 / 2000)


def test_what_has_no_null_is_refused():
    with pytest.raises(SettingError, match="do not fill"):
        phase_randomised(SAMPLES, grid=(7, 7), seed=0)
    with pytest.raises(SettingError, match="at least 3"):
        null_value("shuffled", [1.0, 2.0])
    with pytest.raises(SettingError, match="must agree"):
        matched_to(SAMPLES, SPINS[:10])
    with pytest.raises(DataError, match="NaN"):
        shuffled_columns([[1.0, float("nan")]], seed=0)
