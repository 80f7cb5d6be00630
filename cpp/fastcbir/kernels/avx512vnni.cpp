// AVX-512 with VNNI: as avx512.cpp, but bytes are multiplied as bytes.
#include <immintrin.h>

#include "fastcbir/kernels/tables.hpp"

namespace fastcbir::kernels {
namespace {

// Each builds on those before it.
// clang-format off
#include "fastcbir/kernels/generic.inc"
#include "fastcbir/kernels/epilogue_avx.inc"
#include "fastcbir/kernels/generic_bytes.inc"
#include "fastcbir/kernels/generic_float.inc"
#include "fastcbir/kernels/avx512_lanes.inc"
#include "fastcbir/kernels/avx512vnni_bytes.inc"
#include "fastcbir/kernels/avx512_packed.inc"
#include "fastcbir/kernels/generic_packed.inc"
#include "fastcbir/kernels/generic_product.inc"
#include "fastcbir/kernels/avx512_packed_query.inc"
#include "fastcbir/kernels/generic_beam.inc"
#include "fastcbir/kernels/generic_forest.inc"
#include "fastcbir/kernels/generic_nearest.inc"
#include "fastcbir/kernels/generic_rotate.inc"
#include "fastcbir/kernels/avx512_forest.inc"
#include "fastcbir/kernels/avx512_beam.inc"
// clang-format on

using F32 = FloatKernels<Lanes, FloatRows>;
using F16 = FloatKernels<Lanes, HalfRows>;

template <bool is_signed, Metric metric>
inline constexpr DistanceKernels vnni = kernels_of<VnniOp<is_signed, metric>>;

}  // namespace

constinit const KernelTable avx512vnni_table = {
    "avx512vnni",
    {{F32::l2, F32::ip, F32::cosine},
     {F16::l2, F16::ip, F16::cosine},
     {vnni<false, Metric::l2>, vnni<false, Metric::ip>, vnni<false, Metric::cosine>},
     {vnni<true, Metric::l2>, vnni<true, Metric::ip>, vnni<true, Metric::cosine>}},
    wide_packed_kernels,
    product_kernels,
    {&insert_into_beam, longest_in_registers},
    &forest_in_lanes,
    &nearest_centroids<Lanes>,
    &project<Lanes>,
    &hadamard<Lanes>,
    &squared_norm,
    &scale,
    &f32_to_f16,
    &f16_to_f32,
};

}  // namespace fastcbir::kernels
