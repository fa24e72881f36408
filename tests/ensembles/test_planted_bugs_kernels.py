"""One-line bugs planted in the sampling of kernels; a named check must fail for each, and pass without it."""

from collections.abc import Callable

import pytest

from ensembles import test_kernel_sampling as checks
from tests.planting import planted

moments, relu, linear = (
    checks.check_moments_of_kept_kernels,
    checks.check_relu_moments,
    checks.check_linear_moments,
)


def explicit() -> None:
    checks.test_networks_without_weights_agree_with_explicit_weights("tanh", 1.5, 0.1)


BUGS = [
    ("numerics.guarded_cholesky", "column -= (", "column += (", linear),
    ("ensembles.kernel_sampling", "/ width * (out @ out.mT)", "/ (width + 1) * (out @ out.mT)", relu),
    ("ensembles.kernel_sampling", "+ predicted[:, layer] @ effect.response.T", "", linear),
    ("ensembles.kernel_controls", "response @ covariance @ response.T", "response @ covariance", explicit),
    ("ensembles.kernel_controls", "coefficients.T / width", "coefficients.T", linear),
    ("ensembles.kernel_controls", "sub_(values[:, k - 2], alpha=k)", "sub_(values[:, k - 2], alpha=k - 1)", linear),
    ("ensembles.kernel_moments", "sums.y / n - _outer(u, u)", "sums.y / n", moments),
    ("ensembles.kernel_moments", "- 2 * column * yu.mT", "- 2 * column * yu", moments),
    ("ensembles.kernel_moments", "y_u=u.mT @ square", "y_u=square.mT @ u", moments),
    ("ensembles.kernel_moments", "m3 * n**2 / ((n - 1) * (n - 2))", "m3", moments),
    ("ensembles.explicit_networks", "math.sqrt(long / fan_in)", "1.0", checks.check_orthogonal_matrices),
]  # fmt: skip


@pytest.mark.parametrize(("module", "sound", "broken", "check"), BUGS, ids=[f"{bug[0]}: {bug[2]}" for bug in BUGS])
def test_a_planted_bug_is_caught(module: str, sound: str, broken: str, check: Callable[[], None]) -> None:
    with planted(module, sound, broken), pytest.raises(AssertionError):
        check()
