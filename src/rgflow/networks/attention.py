"""Attention as visible steps: `nn.MultiheadAttention` rewritten as in-projection, softmax, out-projection.

torch computes it in one function that hides its linear maps. The rewritten module shares the original's parameters and
gives the same outputs. Convention: `in_proj` is the packed map of self-attention; `q_proj`, `k_proj`, `v_proj` are the
maps used where query, key and value are different tensors.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["VisibleAttention", "make_attention_visible", "original_name"]


class VisibleAttention(nn.Module):
    """`nn.MultiheadAttention` with its linear maps as modules; outputs as the original's.

    Shapes: as `nn.MultiheadAttention.forward`; masks, unbatched inputs and returned weights included.
    """

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.embed_dim, self.num_heads, self.dropout = attention.embed_dim, attention.num_heads, attention.dropout
        self.head_dim, self.batch_first = attention.head_dim, attention.batch_first
        # torch's encoder layer asks for these two before it takes a fused path that would hide the maps again.
        self._qkv_same_embed_dim, self.in_proj_bias = attention._qkv_same_embed_dim, None
        self.packed = attention.in_proj_weight is not None
        self.training = attention.training
        if self.packed:
            self.in_proj = _linear(attention.in_proj_weight, attention.in_proj_bias)
        weights = _split_weights(attention)
        biases = [None] * 3 if attention.in_proj_bias is None else attention.in_proj_bias.detach().chunk(3)
        self.q_proj, self.k_proj, self.v_proj = (
            _linear(weight, None if bias is None else nn.Parameter(bias.clone()))
            for weight, bias in zip(weights, biases, strict=True)
        )
        self.out_proj = _linear(attention.out_proj.weight, attention.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the attended values and, if asked, the attention weights."""
        batched = query.ndim == 3
        q, k, v = (self._heads(t, batched=batched) for t in self._project(query, key, value))
        logits = q @ k.mT / math.sqrt(self.head_dim) + self._mask(attn_mask, key_padding_mask, like=q)
        weights = logits.softmax(-1)
        attended = F.dropout(weights, self.dropout, self.training) @ v
        joined = self.out_proj(self._join(attended, batched=batched))
        if not need_weights:
            return joined, None
        shown = weights.mean(1) if average_attn_weights else weights
        return joined, shown if batched else shown[0]

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        if self.packed and query is key and key is value:
            return self.in_proj(query).chunk(3, -1)
        return self.q_proj(query), self.k_proj(key), self.v_proj(value)

    def _heads(self, tensor: Tensor, *, batched: bool) -> Tensor:
        """(batch, heads, tokens, channels of a head), whatever the order of the axes outside."""
        if not batched:
            tensor = tensor.unsqueeze(0)
        elif not self.batch_first:
            tensor = tensor.transpose(0, 1)
        return tensor.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)

    def _join(self, heads: Tensor, *, batched: bool) -> Tensor:
        joined = heads.transpose(1, 2).flatten(2)
        if not batched:
            return joined.squeeze(0)
        return joined if self.batch_first else joined.transpose(0, 1)

    def _mask(self, attention_mask: Tensor | None, padding: Tensor | None, *, like: Tensor) -> Tensor:
        """The sum of both masks as an additive one, broadcastable to (batch, heads, queries, keys)."""
        mask = torch.zeros((), dtype=like.dtype)
        if attention_mask is not None:
            additive = _additive(attention_mask, like=like)
            mask = mask + (additive.unflatten(0, (-1, self.num_heads)) if additive.ndim == 3 else additive)
        if padding is not None:
            additive = _additive(padding, like=like)
            mask = mask + (additive[:, None, None, :] if additive.ndim == 2 else additive)
        return mask


def make_attention_visible(module: nn.Module) -> nn.Module:
    """Return `module` with every plain `nn.MultiheadAttention` inside replaced, in place, by its visible form.

    Errors: attention with added bias tokens or zero tokens, and subclasses, stay as they are (run literally).
    """
    if _rewritable(module):
        return VisibleAttention(module)  # type: ignore[arg-type]
    done: dict[int, VisibleAttention] = {}
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if _rewritable(child):
                setattr(parent, name, done.setdefault(id(child), VisibleAttention(child)))  # type: ignore[arg-type]
    return module


def original_name(module: nn.Module, name: str) -> str:
    """Return the dotted name that parameter `name` of a rewritten module had before the rewriting."""
    path = name.split(".")
    if len(path) < 2:
        return name
    owner = module.get_submodule(".".join(path[:-2]))
    if not isinstance(owner, VisibleAttention) or path[-2] == "out_proj":
        return name
    packed = owner.packed or path[-1] == "bias"
    return ".".join([*path[:-2], f"in_proj_{path[-1]}" if packed else f"{path[-2]}_{path[-1]}"])


def _rewritable(module: nn.Module) -> bool:
    if type(module) is not nn.MultiheadAttention:
        return False
    return module.bias_k is None and not module.add_zero_attn


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A Linear module on given parameters, made without drawing any random number."""
    linear = nn.Linear(1, 1, bias=bias is not None, device="meta")
    linear.out_features, linear.in_features = weight.shape
    linear.weight = nn.Parameter(weight) if not isinstance(weight, nn.Parameter) else weight
    linear.bias = bias  # type: ignore[assignment]
    return linear


def _split_weights(attention: nn.MultiheadAttention) -> tuple[nn.Parameter, ...]:
    """Query, key and value weights; pieces of the packed weight are clones, used only where the packed map is not."""
    if attention.in_proj_weight is not None:
        return tuple(nn.Parameter(piece.clone()) for piece in attention.in_proj_weight.detach().chunk(3))
    return attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight


def _additive(mask: Tensor, *, like: Tensor) -> Tensor:
    if mask.dtype == torch.bool:
        return torch.zeros(mask.shape, dtype=like.dtype).masked_fill(mask, -math.inf)
    return mask.to(like.dtype)
