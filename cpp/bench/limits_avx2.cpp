// The limits of the instructions of kernels/avx2.cpp. Compiled with that file's flags.
#include <immintrin.h>

#include "fastcbir/kernels/table.hpp"
#include "limits.hpp"

namespace fastcbir::bench {
namespace {

using kernels::DistanceKernels;

// Each builds on those before it.
// clang-format off
#include "fastcbir/kernels/generic.inc"
#include "fastcbir/kernels/epilogue_avx.inc"
#include "fastcbir/kernels/generic_bytes.inc"
#include "fastcbir/kernels/generic_float.inc"
#include "fastcbir/kernels/avx2_lanes.inc"
#include "limits.inc"
// clang-format on

template <Metric metric>
using U8 = ByteOp<ByteLanes<std::uint8_t>, metric>;
template <Metric metric>
using I8 = ByteOp<ByteLanes<std::int8_t>, metric>;

}  // namespace

constinit const LimitTable avx2_limits = limit_table<U8, I8>();

}  // namespace fastcbir::bench
