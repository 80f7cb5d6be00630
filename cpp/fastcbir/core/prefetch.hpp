// Asking the memory for what will be read soon. Floor 0.
#pragma once

#include <cstddef>

#include "fastcbir/core/types.hpp"

#if defined(_MSC_VER)
#include <intrin.h>
#define FASTCBIR_INLINE __forceinline
#else
#define FASTCBIR_INLINE inline __attribute__((always_inline))
#endif

namespace fastcbir {

// Asks for the first `bytes` from `at`. Inlined by force, with a barrier the compiler can't see through: GCC takes a
// function that only prefetches for one without effects and drops its calls.
FASTCBIR_INLINE void prefetch(const void* at, std::size_t bytes) {
#if defined(_MSC_VER)
  for (std::size_t line = 0; line < bytes; line += row_alignment) {
    _mm_prefetch(static_cast<const char*>(at) + line, _MM_HINT_T0);
  }
#else
  asm volatile("" ::: "memory");
  for (std::size_t line = 0; line < bytes; line += row_alignment) {
    __builtin_prefetch(static_cast<const char*>(at) + line);
  }
#endif
}

}  // namespace fastcbir
