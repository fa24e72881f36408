"""Attention rewritten as visible steps gives what torch gives."""

import pytest
import torch
from torch import nn

from rgflow.networks.attention import VisibleAttention, make_attention_visible
from rgflow.networks.private_copy import parameter_names, private_copy
from tolerances import ROUNDING

_EMBED, _HEADS, _BATCH, _TOKENS, _MEMORY = 12, 3, 4, 5, 7


def _pair(seed: int = 0, **settings) -> tuple[nn.MultiheadAttention, VisibleAttention]:
    torch.manual_seed(seed)
    attention = nn.MultiheadAttention(_EMBED, _HEADS, **settings).double()
    for parameter in attention.parameters():
        nn.init.normal_(parameter)
    return attention, VisibleAttention(attention)


def _assert_same(original: tuple, visible: tuple) -> None:
    for a, b in zip(original, visible, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(b, a, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_self_attention_is_unchanged(batch_first, bias):
    original, visible = _pair(batch_first=batch_first, bias=bias)
    x = torch.randn(_BATCH, _TOKENS, _EMBED, dtype=torch.float64)
    _assert_same(original(x, x, x), visible(x, x, x))


@pytest.mark.parametrize("widths", [{}, {"kdim": 8, "vdim": 6}])
def test_cross_attention_is_unchanged_for_equal_and_for_other_widths(widths):
    original, visible = _pair(batch_first=True, **widths)
    q = torch.randn(_BATCH, _TOKENS, _EMBED, dtype=torch.float64)
    k = torch.randn(_BATCH, _MEMORY, widths.get("kdim", _EMBED), dtype=torch.float64)
    v = torch.randn(_BATCH, _MEMORY, widths.get("vdim", _EMBED), dtype=torch.float64)
    for average in (True, False):
        _assert_same(original(q, k, v, average_attn_weights=average), visible(q, k, v, average_attn_weights=average))


def test_masks_of_every_form_are_unchanged():
    original, visible = _pair(batch_first=True)
    x = torch.randn(_BATCH, _TOKENS, _EMBED, dtype=torch.float64)
    causal = torch.ones(_TOKENS, _TOKENS, dtype=torch.bool).triu(1)
    per_head = torch.randn(_BATCH * _HEADS, _TOKENS, _TOKENS, dtype=torch.float64)
    padding = torch.zeros(_BATCH, _TOKENS, dtype=torch.bool)
    padding[:, -2:] = True
    for masks in (
        {"attn_mask": causal},
        {"attn_mask": causal, "is_causal": True},
        {"attn_mask": per_head},
        {"key_padding_mask": padding},
        {"attn_mask": causal, "key_padding_mask": padding},
    ):
        for weights in (True, False):
            _assert_same(
                original(x, x, x, need_weights=weights, **masks), visible(x, x, x, need_weights=weights, **masks)
            )


def test_unbatched_attention_is_unchanged():
    original, visible = _pair(batch_first=True)
    x = torch.randn(_TOKENS, _EMBED, dtype=torch.float64)
    _assert_same(original(x, x, x), visible(x, x, x))


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("norm_first", [True, False])
def test_an_encoder_layer_is_unchanged_in_both_modes(mode, norm_first):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        _EMBED, _HEADS, 16, dropout=0.0, batch_first=True, norm_first=norm_first
    ).double()
    layer.train(mode == "train")
    x = torch.randn(_BATCH, _TOKENS, _EMBED, dtype=torch.float64)
    visible = private_copy(layer, x)
    assert isinstance(visible.self_attn, VisibleAttention)
    torch.testing.assert_close(visible(x), layer(x), rtol=ROUNDING, atol=ROUNDING)


def test_an_encoder_in_eval_mode_without_gradients_is_unchanged():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(_EMBED, _HEADS + 1, 16, batch_first=True).double()
    encoder = nn.TransformerEncoder(layer, 2).eval()
    x = torch.randn(_BATCH, _TOKENS, _EMBED, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(private_copy(encoder, x)(x), encoder(x), rtol=ROUNDING, atol=ROUNDING)


def test_attention_with_extra_tokens_is_left_alone():
    attention = nn.MultiheadAttention(_EMBED, _HEADS, add_bias_kv=True)
    assert make_attention_visible(attention) is attention


def test_parameters_keep_the_names_that_the_user_knows():
    model = nn.ModuleDict({"a": nn.MultiheadAttention(8, 2), "b": nn.MultiheadAttention(8, 2, kdim=4, vdim=4)})
    known = {name for name, _ in model.named_parameters()}
    copy = private_copy(model, torch.zeros(1))
    assert set(parameter_names(copy).values()) == known
