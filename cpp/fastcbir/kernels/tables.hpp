// The table each island exports. Internal to kernels/: the rest of the core asks dispatch.hpp.
#pragma once

#include "fastcbir/kernels/table.hpp"

namespace fastcbir::kernels {

extern const KernelTable scalar_table;
#if defined(FASTCBIR_X86_ISLANDS)
extern const KernelTable avx2_table;
extern const KernelTable avx512_table;
extern const KernelTable avx512vnni_table;
extern const KernelTable avx512vbmi_table;
#endif
#if defined(FASTCBIR_NEON_ISLAND)
extern const KernelTable neon_table;
#endif

}  // namespace fastcbir::kernels
