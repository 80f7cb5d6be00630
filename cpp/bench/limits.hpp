// What the machine allows, for the kernels to be measured against. One table per instruction set, made by limits.inc.
#pragma once

#include <cstddef>

#include "fastcbir/core/types.hpp"

namespace fastcbir::bench {

struct LimitTable {
  // Reads `count` rows of `row_bytes` (whole 64-byte blocks) into registers and does nothing with them: one after the
  // other, or four or eight side by side.
  void (*load[3])(const void* const* rows, std::size_t count, std::size_t row_bytes);
  // Independent multiply-adds on registers, `count` times `fused_lanes` of them.
  void (*fused)(std::size_t count);
  std::size_t fused_lanes;
  // The operations a kernel needs for 64-byte row blocks (loads from the first-level cache included; sums are not
  // closed): as many pairs at once as the kernel keeps, `arithmetic_blocks` blocks a step, `count` steps.
  void (*arithmetic[scalar_type_count][metric_count])(std::size_t count);
  std::size_t arithmetic_blocks[scalar_type_count][metric_count];
};

extern const LimitTable scalar_limits;
#if defined(FASTCBIR_X86_ISLANDS)
extern const LimitTable avx2_limits;
extern const LimitTable avx512_limits;
extern const LimitTable avx512vnni_limits;
#endif
#if defined(FASTCBIR_NEON_ISLAND)
extern const LimitTable neon_limits;
#endif

}  // namespace fastcbir::bench
