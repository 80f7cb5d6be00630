// Seeded randomness that depends on nothing but its arguments: the same on every platform and thread count. Floor 0.
#pragma once

#include <cstdint>

namespace fastcbir {

// splitmix64 (Steele, Lea and Flood, OOPSLA 2014): a good 64-bit mixer, used as a counter-based generator.
constexpr std::uint64_t mix64(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15u;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

// Uniform in (0, 1]: the logarithm of it is finite.
constexpr double uniform(std::uint64_t seed, std::uint64_t counter) {
  return static_cast<double>((mix64(mix64(seed) ^ counter) >> 11) + 1) * 0x1.0p-53;
}

}  // namespace fastcbir
