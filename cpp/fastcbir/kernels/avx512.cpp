// AVX-512 F, BW, DQ and VL; bytes are widened to 16 bits, since multiplying them directly needs VNNI.
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
#include "fastcbir/kernels/avx512_bytes.inc"
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
using U8 = ByteKernels<ByteLanes<std::uint8_t>>;
using I8 = ByteKernels<ByteLanes<std::int8_t>>;

}  // namespace

constinit const KernelTable avx512_table = {
    "avx512",
    {{F32::l2, F32::ip, F32::cosine},
     {F16::l2, F16::ip, F16::cosine},
     {U8::l2, U8::ip, U8::cosine},
     {I8::l2, I8::ip, I8::cosine}},
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
