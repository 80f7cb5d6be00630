#include "fastcbir/storage/packed_codec.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numbers>
#include <stdexcept>

#include "fastcbir/core/rng.hpp"
#include "fastcbir/kernels/dispatch.hpp"

namespace fastcbir {
namespace {

constexpr std::size_t group_dims = 4;
// Up to here a matrix fits the caches and costs less than the transform's rounds.
constexpr std::size_t largest_matrix_dim = 192;
constexpr std::size_t rounds = 4;
// Differences turned at random have nearly normal coordinates: of four even levels for those, the outer begin here.
constexpr float outer_level = 0.9957f;

// Gram-Schmidt on normal rows, then transposed. The first `dim` coordinates of inputs are used: the others are zero.
AlignedBuffer random_rotation(std::size_t padded_dim, std::uint64_t seed) {
  std::vector<double> rows(padded_dim * padded_dim);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] =
        std::sqrt(-2 * std::log(uniform(seed, 2 * i))) * std::cos(2 * std::numbers::pi * uniform(seed, 2 * i + 1));
  }
  for (std::size_t i = 0; i < padded_dim; ++i) {
    double* row = rows.data() + i * padded_dim;
    for (std::size_t other = 0; other < i; ++other) {
      const double* before = rows.data() + other * padded_dim;
      double dot = 0;
      for (std::size_t d = 0; d < padded_dim; ++d) dot += row[d] * before[d];
      for (std::size_t d = 0; d < padded_dim; ++d) row[d] -= dot * before[d];
    }
    double norm = 0;
    for (std::size_t d = 0; d < padded_dim; ++d) norm += row[d] * row[d];
    for (std::size_t d = 0; d < padded_dim; ++d) row[d] /= std::sqrt(norm);
  }
  AlignedBuffer matrix;
  matrix.resize(rows.size() * sizeof(float));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    matrix.as<float>()[i % padded_dim * padded_dim + i / padded_dim] = static_cast<float>(-rows[i]);
  }
  return matrix;
}

std::span<float> floats(AlignedBuffer& buffer, std::size_t count) {
  if (buffer.size() != count * sizeof(float)) buffer.resize(count * sizeof(float));
  return buffer.as<float>();
}

}  // namespace

PackedCodec::PackedCodec(const Space& space, std::size_t planes, std::uint64_t seed)
    // Kernels take four groups at a time.
    : BlockCodec(space, round_up(space.dim(), 4 * group_dims)), planes_(planes), seed_(seed) {
  if (planes < 1 || planes > 2) throw std::invalid_argument("a packed codec has 1 or 2 bits a dimension");
  if (padded_dim_ <= largest_matrix_dim) {
    rotation_ = random_rotation(padded_dim_, seed);
  } else {
    hadamard_ = std::bit_floor(padded_dim_);
    const float scale = 1 / std::sqrt(static_cast<float>(hadamard_));
    signs_.resize(rounds * hadamard_ * sizeof(float));
    const auto signs = signs_.as<float>();
    for (std::size_t i = 0; i < signs.size(); ++i) signs[i] = (mix64(mix64(seed) ^ i) & 1) != 0 ? scale : -scale;
  }
  groups_ = padded_dim_ / group_dims;
  block_bytes_ = kernels::packed_block_bytes(groups_, planes_);
}

void PackedCodec::rotate(const float* values, std::size_t rows, float* rotated) const {
  if (hadamard_ == 0) {
    table_->project(rotation_.as<float>().data(), values, rows, padded_dim_, rotated);
    return;
  }
  // Front and back parts in turn overlap, so that after all rounds every coordinate has met every other.
  std::memcpy(rotated, values, rows * padded_dim_ * sizeof(float));
  for (std::size_t row = 0; row < rows; ++row, rotated += padded_dim_) {
    for (std::size_t round = 0; round < rounds; ++round) {
      float* part = rotated + (round % 2 == 0 ? 0 : padded_dim_ - hadamard_);
      table_->hadamard(part, signs_.as<float>().data() + round * hadamard_, hadamard_);
    }
  }
}

void PackedCodec::load_rows(std::span<const std::byte* const> rows, float* rotated, AlignedBuffer& scratch) const {
  if (scratch.size() < rows.size() * padded_dim_ * sizeof(float)) {
    scratch.resize(rows.size() * padded_dim_ * sizeof(float));
  }
  load_plain(rows, scratch.as<float>().data());
  rotate(scratch.as<float>().data(), rows.size(), rotated);
}

void PackedCodec::pack(const float* base, std::span<const float* const> rows, std::byte* block,
                       Workspace& workspace) const {
  workspace.levels.resize(padded_dim_);
  std::uint8_t* const levels = workspace.levels.data();
  clear(block, rows.size());
  auto* codes = reinterpret_cast<std::uint8_t*>(block) + 4 * kernels::packed_neighbors;
  for (std::size_t j = 0; j < rows.size(); ++j) {
    write_factors(table_->packed.encode(base, rows[j], padded_dim_, dim_, planes_, outer_level, levels), block, j);
    std::uint8_t* const to = codes + j % 8 * 2 + j / 8 % 2;
    const unsigned shift = j < 16 ? 0 : 4;
    for (std::size_t group = 0; group < groups_; ++group) {
      std::uint32_t four;  // a level a byte; the same bit of each is drawn together by one multiplication
      std::memcpy(&four, levels + group * group_dims, sizeof four);
      for (std::size_t plane = 0; plane < planes_; ++plane) {
        const std::uint32_t bits = four >> (planes_ - 1 - plane) & 0x01010101u;
        to[(plane * groups_ + group) * 16] |= static_cast<std::uint8_t>((bits * 0x01020408u >> 24 & 15u) << shift);
      }
    }
  }
}

kernels::PackedQuery PackedCodec::prepare(const void* query, QueryScratch& scratch) const {
  const auto values = floats(scratch.values, 2 * padded_dim_).first(padded_dim_);
  const auto rotated = floats(scratch.values, 2 * padded_dim_).subspan(padded_dim_);
  if (scratch.table.size() != groups_ * 16) scratch.table.resize(groups_ * 16);
  load(query, true, values.data());
  rotate(values.data(), 1, rotated.data());
  // A table entry is at most 255, and a plane's sum below 2^16.
  const kernels::PackedExtent extent = table_->packed.extent(rotated.data(), groups_);
  const float largest_entry = std::min(255.0f, std::floor(65535.0f / static_cast<float>(groups_)));
  const float step = extent.widest > 0 ? extent.widest / largest_entry : 1;
  auto* table = reinterpret_cast<std::uint8_t*>(scratch.table.data());
  table_->packed.table(rotated.data(), groups_, step, table);
  // <q, s> with s = 2 b - 1, or 2 (2 b1 + b0) - 3, where <q, b> = step * (table sums) + the negative part for each plane.
  const float length_unit = std::sqrt(unit_);
  const float planes_weight = planes_ == 1 ? 1.0f : 3.0f;
  return {.table = table,
          .groups = groups_,
          .planes = planes_,
          .scale = 2 * step / length_unit,
          .offset = planes_weight * (2 * extent.negative - extent.sum) / length_unit,
          .unit = unit_};
}

}  // namespace fastcbir
