// What the kernels are compared with: vectors in padded rows, and slow, obvious distances in double precision.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "fastcbir/kernels/dispatch.hpp"

namespace fastcbir::test {

using kernels::DistanceKernels;
using kernels::KernelTable;

// The tables to test: the forced one, or all that can run here. None if the forced one is refused (test_dispatch.cpp
// looks into that).
inline std::vector<const KernelTable*> tables_under_test() {
  if (std::getenv("FASTCBIR_ISA") == nullptr) return kernels::available();
  try {
    return {&kernels::active()};
  } catch (const std::invalid_argument&) {
    return {};
  }
}

inline constexpr ScalarType all_types[] = {ScalarType::f32, ScalarType::f16, ScalarType::u8, ScalarType::i8};
inline constexpr Metric all_metrics[] = {Metric::l2, Metric::ip, Metric::cosine};

// Half precision by the definition of IEEE 754, in double: exact for every half but NaN.
inline double value_of_half(std::uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const int fraction = half & 1023;
  const double sign = (half & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == 31) return fraction == 0 ? sign * HUGE_VAL : std::nan("");
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

// `count` rows of `dim` coordinates, each on 64-byte blocks and zero-padded to whole ones, as storage keeps them.
class Rows {
 public:
  Rows(ScalarType type, std::size_t count, std::size_t dim, std::size_t padded_dim)
      : type_(type), dim_(dim), stride_(padded_dim * bytes_of(type)), bytes_(count * stride_) {
    data_ = static_cast<std::byte*>(::operator new(bytes_, std::align_val_t(64)));
    std::memset(data_, 0, bytes_);
  }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;
  ~Rows() { ::operator delete(data_, std::align_val_t(64)); }

  std::byte* row(std::size_t r) { return data_ + r * stride_; }
  const std::byte* row(std::size_t r) const { return data_ + r * stride_; }
  std::size_t stride() const { return stride_; }

  template <class T>
  void set(std::size_t r, std::size_t i, T value) {
    std::memcpy(row(r) + i * sizeof(T), &value, sizeof(T));
  }
  double at(std::size_t r, std::size_t i) const { return value_at(type_, row(r), i); }

  static double value_at(ScalarType type, const std::byte* row, std::size_t i) {
    const auto read = [&](auto zero) {
      std::memcpy(&zero, row + i * sizeof(zero), sizeof(zero));
      return zero;
    };
    switch (type) {
      case ScalarType::f32: return read(0.0f);
      case ScalarType::f16: return value_of_half(read(std::uint16_t{0}));
      case ScalarType::u8: return read(std::uint8_t{0});
      case ScalarType::i8: return read(std::int8_t{0});
    }
    return 0;
  }

  // Unit normal numbers, or bytes of the whole range.
  void fill(std::mt19937& random, std::size_t count) {
    std::normal_distribution<float> normal;
    for (std::size_t r = 0; r < count; ++r) {
      for (std::size_t i = 0; i < dim_; ++i) {
        switch (type_) {
          case ScalarType::f32: set(r, i, normal(random)); break;
          case ScalarType::f16: set(r, i, random_half(random)); break;
          case ScalarType::u8:
          case ScalarType::i8: set(r, i, static_cast<std::uint8_t>(random())); break;
        }
      }
    }
  }

 private:
  // Magnitudes from subnormal to 4, spread evenly over the exponents.
  static std::uint16_t random_half(std::mt19937& random) {
    return static_cast<std::uint16_t>(random() % 0x4400 | (random() & 0x8000));
  }

  ScalarType type_;
  std::size_t dim_;
  std::size_t stride_;
  std::size_t bytes_;
  std::byte* data_;
};

// Numbers on cache lines, as kernels of codes ask for.
template <class T>
struct Lines {
  explicit Lines(std::size_t count) : size(count), data(new (std::align_val_t(64)) T[count]()) {}
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  ~Lines() { ::operator delete[](data, std::align_val_t(64)); }
  std::size_t size;
  T* data;
};

inline float value_of_key(std::uint64_t key) {
  const auto bits = static_cast<std::uint32_t>(key >> 32);
  return std::bit_cast<float>(bits ^ ((bits >> 31) != 0 ? 0x80000000u : 0xFFFFFFFFu));
}

constexpr std::size_t padded_dim(ScalarType type, std::size_t dim) {
  return round_up(dim, row_alignment / bytes_of(type));
}

constexpr ScalarType query_type(ScalarType type) { return type == ScalarType::f16 ? ScalarType::f32 : type; }

struct Expected {
  double distance;
  double tolerance;  // what rounding may cost a float sum; 0 for bytes, whose sums are exact
};

inline Expected expected_distance(ScalarType type, Metric metric, const std::byte* query, const std::byte* row,
                                  std::size_t dim) {
  double sum = 0, magnitude = 0, norm = 0;
  for (std::size_t i = 0; i < dim; ++i) {
    const double q = Rows::value_at(query_type(type), query, i), r = Rows::value_at(type, row, i);
    const double term = metric == Metric::l2 ? (q - r) * (q - r) : -q * r;
    sum += term;
    magnitude += std::abs(term);
    norm += r * r;
  }
  const bool bytes = type == ScalarType::u8 || type == ScalarType::i8;
  const double rounding = 1e-6 * (1 + static_cast<double>(dim) / 128);
  if (metric != Metric::cosine) return {bytes ? static_cast<float>(sum) : sum, bytes ? 0 : rounding * magnitude};
  if (norm == 0) return {0, 0};
  return {sum / std::sqrt(norm), (bytes ? 1e-6 : 2 * rounding) * magnitude / std::sqrt(norm)};
}

}  // namespace fastcbir::test
