"""What the draws say of a parameter: its second moment, whether it is random at all, whether it copies another one."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn

__all__ = ["DrawnTensors"]


@dataclass(frozen=True)
class DrawnTensors:
    """The parameters and buffers of all draws by name, and the names of parameters that are clones of another one.

    A clone equals a parameter of another module in every draw, is not constant and differs between draws (if there are
    two): `nn.TransformerEncoder` copies one layer, so all its layers start as clones.
    """

    draws: tuple[dict[str, Tensor], ...]
    clones: frozenset[str]
    buffers: tuple[dict[str, Tensor], ...] = ()

    @classmethod
    def of(cls, modules: Sequence[nn.Module]) -> "DrawnTensors":
        """Return the tensors of private copies, one per draw."""
        draws = tuple({name: p.detach() for name, p in module.named_parameters()} for module in modules)
        return cls(draws, _clones(draws), tuple(dict(module.named_buffers()) for module in modules))

    def fixed(self, name: str) -> bool:
        """Return whether the parameter is the same number, or the same tensor in several draws: nothing is drawn."""
        first, *others = (draw[name] for draw in self.draws)
        if first.numel() == 0 or bool(torch.all(first == first.flatten()[0])):
            return all(torch.equal(first, other) for other in others)
        return bool(others) and all(torch.equal(first, other) for other in others)

    def mean(self, name: str) -> float:
        """Return the mean over entries and draws."""
        return float(torch.stack([draw[name].mean() for draw in self.draws]).mean())

    def second_moment(self, name: str) -> float:
        """Return the mean square over entries and draws."""
        return float(torch.stack([draw[name].pow(2).mean() for draw in self.draws]).mean())

    def kurtosis(self, name: str) -> float:
        """Return <w^4> / <w^2>^2 - 3 over entries and draws; 0 for a tensor of zeros."""
        second = self.second_moment(name)
        fourth = float(torch.stack([draw[name].pow(4).mean() for draw in self.draws]).mean())
        return fourth / second**2 - 3.0 if second > 0.0 else 0.0

    def relative_error(self, name: str) -> float:
        """Return the standard error of the second moment over itself, sqrt((kurtosis + 2) / count); 0 if fixed."""
        spread = max(self.kurtosis(name) + 2.0, 0.0)
        return 0.0 if self.fixed(name) else math.sqrt(spread / self.count(name))

    def count(self, name: str) -> int:
        """Return the number of entries in all draws."""
        return sum(draw[name].numel() for draw in self.draws)

    def stack(self, name: str, *, replicas: int, start: int) -> Tensor:
        """Return `replicas` draws of a parameter or buffer from draw `start` on, cyclically; (replicas, ...)."""
        tables = self.draws if name in self.draws[0] else self.buffers
        return torch.stack([tables[(start + r) % len(tables)][name] for r in range(replicas)])

    def drawn_buffers(self) -> tuple[str, ...]:
        """Return the names of the buffers that differ between draws, such as random features."""
        first, *others = self.buffers
        return tuple(n for n, tensor in first.items() if any(not torch.equal(tensor, other[n]) for other in others))


def _clones(draws: tuple[dict[str, Tensor], ...]) -> frozenset[str]:
    groups: defaultdict[tuple, list[str]] = defaultdict(list)
    for name, tensor in draws[0].items():
        if tensor.numel() > 1 and not bool(torch.all(tensor == tensor.flatten()[0])):
            groups[(*tensor.shape, float(tensor.sum()))].append(name)
    found: set[str] = set()
    for names in groups.values():
        for a, b in combinations(names, 2):
            if all(torch.equal(draw[a], draw[b]) for draw in draws) and not _same_everywhere(draws, a):
                found |= {a, b}
    return frozenset(found)


def _same_everywhere(draws: tuple[dict[str, Tensor], ...], name: str) -> bool:
    return len(draws) > 1 and all(torch.equal(draws[0][name], draw[name]) for draw in draws[1:])
