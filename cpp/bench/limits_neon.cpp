// The limits of the instructions of kernels/neon.cpp. Compiled with that file's flags.
#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "fastcbir/kernels/table.hpp"
#include "limits.hpp"

namespace fastcbir::bench {
namespace {

using kernels::DistanceKernels;

// Each builds on those before it.
// clang-format off
#include "fastcbir/kernels/generic.inc"
#include "fastcbir/kernels/epilogue_plain.inc"
#include "fastcbir/kernels/generic_bytes.inc"
#include "fastcbir/kernels/generic_float.inc"
#include "fastcbir/kernels/neon_lanes.inc"
#include "limits.inc"
// clang-format on

template <Metric metric>
using U8 = ByteOp<UnsignedLanes, metric>;
template <Metric metric>
using I8 = ByteOp<SignedLanes, metric>;

}  // namespace

constinit const LimitTable neon_limits = limit_table<U8, I8>();

}  // namespace fastcbir::bench
