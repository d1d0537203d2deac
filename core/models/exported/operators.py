"""The operators that an exported program may call: arithmetic on tensors, and nothing else.

A list of what is allowed, not of what is not: ``aten`` also has operators that open files, answer
with whatever lay in memory (``empty``), or read and write memory without a look at its bounds, such
as ``native_batch_norm``. On the list is what ``torch.export`` makes of usual networks; those of
them that do not look at what they are given are called through ``guarded.CHECKED``. Whoever adds
one calls it with shapes, indices and modes that do not fit, in a process that may break.
"""

from __future__ import annotations

import re

_POINTWISE = """
abs absolute acos add addcdiv addcmul asin atan atan2 bitwise_and bitwise_not bitwise_or bitwise_xor
ceil celu clamp clamp_max clamp_min clip cos cosh div divide elu eq erf exp exp2 expm1 fill floor
floor_divide fmod ge gelu glu greater greater_equal gt hardshrink hardsigmoid hardswish hardtanh
isfinite isinf isnan le leaky_relu lerp less less_equal log log10 log1p log2 log_sigmoid logical_and
logical_not logical_or logical_xor logit lt maximum minimum mish mul multiply nan_to_num ne neg
negative not_equal pow prelu reciprocal relu relu6 remainder round rrelu rsqrt rsub selu sigmoid
sign silu sin sinh softplus softshrink sqrt square sub subtract tan tanh threshold true_divide trunc
where zero __and__ __or__ __xor__
"""
_REDUCED = """
all amax amin any argmax argmin cosine_similarity cumsum linalg_norm linalg_vector_norm log_softmax
_log_softmax logsumexp max mean min norm pairwise_distance prod _safe_softmax softmax _softmax std
std_mean sum var var_mean
"""
_SHAPED = """
alias broadcast_tensors broadcast_to cat channel_shuffle chunk clone concat concatenate
constant_pad_nd contiguous detach diagonal expand expand_as flatten flip hstack lift_fresh
lift_fresh_copy
movedim moveaxis mT narrow numpy_T pad permute pixel_shuffle pixel_unshuffle ravel reflection_pad1d
reflection_pad2d reflection_pad3d repeat repeat_interleave replication_pad1d replication_pad2d
replication_pad3d reshape reshape_as roll select slice split split_with_sizes squeeze stack swapaxes
swapdims t tensor_split tile transpose tril triu unbind unflatten unfold _unsafe_view unsqueeze view
view_as vstack
"""
_PRODUCTS = """
addmm baddbmm bmm dot einsum linear matmul mm mv outer scaled_dot_product_attention vdot
"""
_LAYERS = """
_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d
adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d alpha_dropout
avg_pool1d avg_pool2d avg_pool3d batch_norm conv1d conv2d conv3d conv_transpose1d conv_transpose2d
conv_transpose3d convolution dropout embedding feature_alpha_dropout feature_dropout group_norm gru
gru_cell instance_norm layer_norm lstm lstm_cell max_pool1d max_pool1d_with_indices max_pool2d
max_pool2d_with_indices max_pool3d max_pool3d_with_indices _native_batch_norm_legit_no_training
native_layer_norm rms_norm rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell
_upsample_bicubic2d_aa upsample_bicubic2d _upsample_bilinear2d_aa upsample_bilinear2d
upsample_linear1d _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d
upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d _weight_norm
_weight_norm_interface
"""
_INDEXED = """
gather index index_select masked_fill one_hot scatter scatter_add topk
"""
_MADE = """
arange eye full full_like linspace meshgrid new_full new_ones new_zeros ones ones_like scalar_tensor
zeros zeros_like
"""
_CAST = """
_assert_async _assert_scalar _assert_tensor_metadata copy sym_constrain_range
sym_constrain_range_for_size sym_numel sym_size to _to_copy type_as
"""
ATEN = frozenset(
    name
    for family in (
        _POINTWISE, _REDUCED, _SHAPED, _PRODUCTS, _LAYERS, _INDEXED, _MADE, _CAST,
    )
    for name in family.split()
)  # fmt: skip
"""Operators of ``aten`` by their base names; with the overloads that ``allowed`` leaves, and in
place.
"""

_ARITHMETIC = """
_operator.eq _operator.ne _operator.le _operator.ge _operator.lt _operator.gt _operator.neg
_operator.pos _operator.mul _operator.add _operator.sub _operator.floordiv _operator.mod
_operator.truediv _operator.and_ _operator.or_ _operator.getitem math.trunc torch.sym_not
torch.sym_int torch.sym_float torch.sym_ite torch.sym_max torch.sym_min torch.sym_sqrt
"""
ON_SIZES = frozenset(_ARITHMETIC.split())
"""What may be done to sizes."""

WITH_GRAPHS = frozenset(
    f"torch.ops.higher_order.{name}"
    for name in ("wrap_with_set_grad_enabled", "wrap_with_autocast")
)
"""Operators that run a part of the program under a setting of its own."""

_LEFT_OUT = (
    *("out", "out_mode", "dim_max", "dim_min", "values"),  # write into what they are given
    "data",  # of packed sequences
)
_ATEN = re.compile(r"torch\.ops\.aten\.(\w+)\.(\w+)", re.ASCII)


def allowed(target: str) -> bool:
    """Whether a program may call this."""
    if target in ON_SIZES or target in WITH_GRAPHS:
        return True
    found = _ATEN.fullmatch(target)
    if found is None:
        return False
    name, overload = found.groups()
    if overload in _LEFT_OUT or overload.endswith("_out"):
        return False
    if "names" in overload or "imname" in overload:  # of axes, which no exported program has
        return False
    if "upsample" in name and overload != "vec":  # the others trust in a scale beside the size
        return False
    if name.endswith("mm") and overload == "dtype":  # kernels that only CUDA has
        return False
    in_place = name.endswith("_") and not name.endswith("__")
    return name in ATEN or (in_place and name[:-1] in ATEN)
