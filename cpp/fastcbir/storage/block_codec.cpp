#include "fastcbir/storage/block_codec.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "fastcbir/core/prefetch.hpp"
#include "fastcbir/kernels/dispatch.hpp"

namespace fastcbir {

BlockCodec::BlockCodec(const Space& space, std::size_t padded_dim)
    : table_(&kernels::active()),
      dim_(space.dim()),
      metric_(space.metric()),
      type_(space.type()),
      padded_dim_(padded_dim) {
  if (metric_ == Metric::cosine && bytes_of(type_) == 1) {
    throw std::invalid_argument("codes can't estimate the cosine of 8-bit vectors; use float16 or float32");
  }
}

float BlockCodec::unit_of(double squared_distance) {
  if (!(squared_distance > 0)) return 1;
  const int exponent = static_cast<int>(std::lround(std::log2(squared_distance) / 2));
  return std::ldexp(1.0f, 2 * std::clamp(exponent, -60, 60));
}

void BlockCodec::load(const void* data, bool is_query, float* values) const {
  std::fill(values + dim_, values + padded_dim_, 0.0f);
  switch (type_) {
    case ScalarType::f32: std::memcpy(values, data, dim_ * sizeof(float)); break;
    case ScalarType::f16:
      if (is_query) {
        std::memcpy(values, data, dim_ * sizeof(float));
      } else {
        table_->f16_to_f32(static_cast<const std::uint16_t*>(data), values, dim_);
      }
      break;
    case ScalarType::u8: std::copy_n(static_cast<const std::uint8_t*>(data), dim_, values); break;
    case ScalarType::i8: std::copy_n(static_cast<const std::int8_t*>(data), dim_, values); break;
  }
}

void BlockCodec::load_plain(std::span<const std::byte* const> rows, float* loaded) const {
  constexpr std::size_t ahead = 8;
  const std::size_t row_bytes = std::min<std::size_t>(dim_ * bytes_of(type_), 1024);
  for (std::size_t i = 0; i < std::min(ahead, rows.size()); ++i) prefetch(rows[i], row_bytes);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i + ahead < rows.size()) prefetch(rows[i + ahead], row_bytes);
    load(rows[i], false, loaded + i * padded_dim_);
  }
}

void BlockCodec::clear(std::byte* block, std::size_t count) const {
  constexpr std::uint16_t half_infinity = 0x7C00;
  std::memset(block, 0, block_bytes_);
  auto* add = reinterpret_cast<std::uint16_t*>(block);
  std::fill(add + count, add + kernels::packed_neighbors, half_infinity);
}

void BlockCodec::write_factors(const kernels::PackedCode& code, std::byte* block, std::size_t place) const {
  const float length_unit = std::sqrt(unit_);
  const float stretch = code.along > 0 ? code.length2 / code.along : 0;
  // value(c) = base + add + mul <q, s>
  const float constant = metric_ == Metric::l2 ? code.length2 + 2 * stretch * code.base_code
                                               : stretch * code.base_code - code.base_difference;
  const float slope = metric_ == Metric::l2 ? -2 * stretch : -stretch;
  // Of a far outlier both are made smaller alike: it is still known to be nearer, or farther, than the base.
  constexpr float largest_half = 65504;
  const float largest = std::max(std::fabs(constant / unit_), std::fabs(slope / length_unit));
  const float shrink = largest > largest_half ? largest_half / largest : 1;
  const float factors[2] = {std::clamp(constant / unit_ * shrink, -largest_half, largest_half),
                            std::clamp(slope / length_unit * shrink, -largest_half, largest_half)};
  auto* add = reinterpret_cast<std::uint16_t*>(block);
  table_->f32_to_f16(factors, add + place, 1);
  table_->f32_to_f16(factors + 1, add + kernels::packed_neighbors + place, 1);
}

}  // namespace fastcbir
