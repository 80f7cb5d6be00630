// Reads CPUID and XCR0. A set CPUID bit alone is not enough: a system (or a hypervisor) that does not save the wide
// registers on a task switch clears their bits in XCR0, and using them would then trap or corrupt another task's state.
#include "fastcbir/kernels/cpu.hpp"

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#define FASTCBIR_X86_64 1
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace fastcbir::kernels {

#if defined(FASTCBIR_X86_64)

namespace {

struct Registers {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
  Registers out;
#if defined(_MSC_VER)
  int values[4];
  __cpuidex(values, static_cast<int>(leaf), static_cast<int>(subleaf));
  out.eax = static_cast<std::uint32_t>(values[0]);
  out.ebx = static_cast<std::uint32_t>(values[1]);
  out.ecx = static_cast<std::uint32_t>(values[2]);
  out.edx = static_cast<std::uint32_t>(values[3]);
#else
  __cpuid_count(leaf, subleaf, out.eax, out.ebx, out.ecx, out.edx);
#endif
  return out;
}

// Which register files the operating system saves and restores (XCR0).
std::uint64_t saved_state() {
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
#endif
}

constexpr bool has(std::uint32_t word, unsigned bit) { return ((word >> bit) & 1u) != 0; }

constexpr std::uint64_t ymm_state = 0x06;  // XMM, upper halves of YMM
constexpr std::uint64_t zmm_state = 0xe6;  // and mask registers, upper halves of ZMM0-15, ZMM16-31

}  // namespace

CpuSupport cpu_support() {
  CpuSupport support;
  const std::uint32_t last_leaf = cpuid(0, 0).eax;
  if (last_leaf < 7) return support;
  const Registers basic = cpuid(1, 0);
  const bool fma = has(basic.ecx, 12), xsave_in_use = has(basic.ecx, 27), avx = has(basic.ecx, 28);
  const bool f16c = has(basic.ecx, 29);
  if (!xsave_in_use || !avx) return support;  // without OSXSAVE the next instruction would trap
  const std::uint64_t state = saved_state();
  const Registers extended = cpuid(7, 0);
  support.avx2 = (state & ymm_state) == ymm_state && fma && f16c && has(extended.ebx, 5);
  const bool f = has(extended.ebx, 16), dq = has(extended.ebx, 17), bw = has(extended.ebx, 30),
             vl = has(extended.ebx, 31);
  support.avx512 = support.avx2 && (state & zmm_state) == zmm_state && f && dq && bw && vl;
  support.avx512vnni = support.avx512 && has(extended.ecx, 11);
  support.avx512vbmi = support.avx512vnni && has(extended.ecx, 1);
  return support;
}

#elif defined(__aarch64__) || defined(_M_ARM64)

CpuSupport cpu_support() {
  CpuSupport support;
  support.neon = true;
  return support;
}

#else

CpuSupport cpu_support() { return {}; }

#endif

}  // namespace fastcbir::kernels
