// NEON, aarch64's baseline: nothing here asks for more than ARMv8-A.
#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "fastcbir/kernels/tables.hpp"

namespace fastcbir::kernels {
namespace {

// Each builds on those before it.
// clang-format off
#include "fastcbir/kernels/generic.inc"
#include "fastcbir/kernels/epilogue_plain.inc"
#include "fastcbir/kernels/generic_bytes.inc"
#include "fastcbir/kernels/generic_float.inc"
#include "fastcbir/kernels/neon_lanes.inc"
#include "fastcbir/kernels/generic_keys.inc"
#include "fastcbir/kernels/neon_packed.inc"
#include "fastcbir/kernels/generic_packed.inc"
#include "fastcbir/kernels/generic_product.inc"
#include "fastcbir/kernels/generic_beam.inc"
#include "fastcbir/kernels/generic_forest.inc"
#include "fastcbir/kernels/generic_nearest.inc"
#include "fastcbir/kernels/generic_rotate.inc"
// clang-format on

using F32 = FloatKernels<Lanes, FloatRows>;
using F16 = FloatKernels<Lanes, HalfRows>;
using U8 = ByteKernels<UnsignedLanes>;
using I8 = ByteKernels<SignedLanes>;

}  // namespace

constinit const KernelTable neon_table = {
    "neon",
    {{F32::l2, F32::ip, F32::cosine},
     {F16::l2, F16::ip, F16::cosine},
     {U8::l2, U8::ip, U8::cosine},
     {I8::l2, I8::ip, I8::cosine}},
    packed_kernels,
    product_kernels,
    {&merge_into_beam, 32},
    &forest_one_by_one,
    &nearest_centroids<Lanes>,
    &project<Lanes>,
    &hadamard<Lanes>,
    &squared_norm,
    &scale,
    &f32_to_f16,
    &f16_to_f32,
};

}  // namespace fastcbir::kernels
