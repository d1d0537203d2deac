"""The operators that an exported program may call: arithmetic on tensors, and nothing else.

A list of what is allowed, not of what is not: ``aten`` also has operators that open files or read
and write memory without a look at its bounds, such as ``native_batch_norm``. Those of them that
layers need are called through ``guarded.CHECKED``.
"""

from __future__ import annotations

import re

_POINTWISE = """
abs absolute acos acosh add addcdiv addcmul angle asin asinh atan atan2 atanh arctan2 bitwise_and
bitwise_not bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift ceil celu clamp clamp_max
clamp_min clip copysign cos cosh deg2rad digamma div divide elu eq erf erfc erfinv exp exp2 expm1
fix float_power floor floor_divide fmax fmin fmod frac ge gelu glu greater greater_equal gt
hardshrink hardsigmoid hardswish hardtanh heaviside hypot i0 isfinite isinf isnan isneginf isposinf
isclose ldexp le leaky_relu lerp less less_equal lgamma log log10 log1p log2 log_sigmoid logaddexp
logaddexp2 logical_and logical_not logical_or logical_xor logit lt maximum minimum mish mul multiply
nan_to_num ne neg negative not_equal polygamma positive pow prelu _prelu_kernel rad2deg reciprocal
relu relu6 remainder round rsqrt rsub selu sgn sigmoid sign signbit silu sin sinc sinh softplus
softshrink special_expit special_erf special_log_softmax special_softmax sqrt square sub subtract
tan tanh threshold true_divide trunc where xlogy zero fill __and__ __or__ __xor__ __lshift__
__rshift__ __iand__ __ior__
"""
_REDUCED = """
all amax amin aminmax any argmax argmin count_nonzero cummax cummin cumprod cumsum dist linalg_norm
linalg_vector_norm linalg_matrix_norm log_softmax _log_softmax logcumsumexp logsumexp max mean
median min mode nanmean nansum norm prod quantile softmax _softmax _safe_softmax std std_mean sum
sum_to_size trace var var_mean cosine_similarity pairwise_distance cdist _cdist_forward
_euclidean_dist equal
"""
_SHAPED = """
alias as_strided atleast_1d atleast_2d atleast_3d broadcast_tensors broadcast_to cat concat
concatenate channel_shuffle chunk clone column_stack constant_pad_nd contiguous detach diag
diag_embed diagonal diff dstack expand expand_as flatten flip fliplr flipud hstack lift_fresh
lift_fresh_copy movedim moveaxis narrow numpy_T mT mH adjoint pad permute pixel_shuffle
pixel_unshuffle ravel reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave
replication_pad1d replication_pad2d replication_pad3d reshape reshape_as _reshape_alias resolve_conj
resolve_neg roll rot90 select slice split split_with_sizes squeeze stack swapaxes swapdims t
tensor_split tile transpose tril triu unbind unflatten unfold unsqueeze _unsafe_view view view_as
vstack im2col col2im block_diag
"""
_PRODUCTS = """
addbmm addmm addmv addr baddbmm bilinear bmm chain_matmul cross dot einsum inner kron linalg_cross
linalg_matmul linalg_multi_dot linalg_vecdot linear matmul mm mv outer tensordot vdot
scaled_dot_product_attention _scaled_dot_product_attention_math

"""
_LAYERS = """
_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d
adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
affine_grid_generator alpha_dropout avg_pool1d avg_pool2d avg_pool3d batch_norm conv1d
conv2d conv3d conv_transpose1d
conv_transpose2d conv_transpose3d convolution _convolution dropout embedding feature_dropout
feature_alpha_dropout grid_sampler grid_sampler_2d grid_sampler_3d group_norm gru gru_cell
instance_norm layer_norm lstm lstm_cell max_pool1d max_pool2d max_pool3d max_pool1d_with_indices
max_pool2d_with_indices max_pool3d_with_indices _native_batch_norm_legit_no_training
native_dropout native_group_norm native_layer_norm rms_norm
_fused_rms_norm rnn_relu rnn_tanh rnn_relu_cell rnn_tanh_cell upsample_bicubic2d upsample_bilinear2d
upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d
_upsample_nearest_exact2d _upsample_nearest_exact3d _upsample_bilinear2d_aa _upsample_bicubic2d_aa
upsample_trilinear3d _weight_norm _weight_norm_interface
"""
_INDEXED = """
argsort bucketize gather index index_add index_copy index_fill index_put index_select isin kthvalue
masked_fill masked_scatter masked_select nonzero nonzero_numpy one_hot scatter scatter_add
scatter_reduce searchsorted select_scatter slice_scatter sort take take_along_dim topk unique_dim
unique_consecutive _unique2
"""
_MADE = """
arange empty empty_like eye full full_like linspace logspace meshgrid new_empty new_full new_ones
new_zeros ones ones_like rand_like randn_like scalar_tensor zeros zeros_like hann_window
hamming_window tril_indices triu_indices cartesian_prod
"""
_CAST = """
_to_copy to type_as copy _assert_tensor_metadata _assert_scalar _assert_async sym_constrain_range
sym_constrain_range_for_size sym_numel sym_size
sym_storage_offset sym_stride numel size item _local_scalar_dense dim is_floating_point real imag
complex view_as_complex view_as_real polar conj
"""
_SPECTRA = """
fft_fft fft_fft2 fft_fftn fft_ifft fft_ifft2 fft_ifftn fft_rfft fft_rfft2 fft_rfftn fft_irfft
fft_irfft2 fft_irfftn fft_fftshift fft_ifftshift stft istft
"""
ATEN = frozenset(
    name
    for family in (
        _POINTWISE, _REDUCED, _SHAPED, _PRODUCTS, _LAYERS, _INDEXED, _MADE, _CAST, _SPECTRA,
    )
    for name in family.split()
)  # fmt: skip
"""Operators of ``aten`` by their base names; each with all overloads, and in place."""

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

_ATEN = re.compile(r"torch\.ops\.aten\.(\w+)\.(\w+)", re.ASCII)


def allowed(target: str) -> bool:
    """Whether a program may call this."""
    if target in ON_SIZES or target in WITH_GRAPHS:
        return True
    found = _ATEN.fullmatch(target)
    if found is None:
        return False
    name, overload = found.groups()
    if overload in ("out", "data") or overload.endswith("_out"):  # data: of packed sequences
        return False
    in_place = name.endswith("_") and not name.endswith("__")
    return name in ATEN or (in_place and name[:-1] in ATEN)
