#include "fastcbir/storage/product_codec.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace fastcbir {
namespace {

constexpr std::size_t entries = kernels::product_entries;
constexpr std::size_t panel = kernels::panel_width;
constexpr std::size_t panels = entries / panel;

// At least so many.
std::span<float> floats(AlignedBuffer& buffer, std::size_t count) {
  if (buffer.size() < count * sizeof(float)) buffer.resize(count * sizeof(float));
  return buffer.as<float>();
}

}  // namespace

ProductCodec::ProductCodec(const Space& space, std::size_t parts)
    : BlockCodec(space, round_up(space.dim(), row_alignment / sizeof(float))) {
  if (parts < 1 || parts > std::min(dim_, max_parts)) {
    throw std::invalid_argument("product codes of " + std::to_string(dim_) + " dimensions have 1.." +
                                std::to_string(std::min(dim_, max_parts)) + " bytes, got " + std::to_string(parts));
  }
  for (std::size_t part = 0; part <= parts; ++part) begins_.push_back(part * dim_ / parts);
  block_bytes_ = kernels::product_block_bytes(round_up(parts, 2));
}

void ProductCodec::set_books(AlignedBuffer books) {
  books_ = std::move(books);
  offsets_.resize(parts() * entries * sizeof(float));
  float* offset = offsets_.as<float>().data();
  for (std::size_t part = 0; part < parts(); ++part) {
    const float* from = book(part);
    for (std::size_t p = 0; p < panels; ++p, offset += panel) {
      std::fill_n(offset, panel, 0.0f);
      for (std::size_t d = 0; d < width(part); ++d, from += panel) {
        for (std::size_t lane = 0; lane < panel; ++lane) offset[lane] += 0.5f * from[lane] * from[lane];
      }
    }
  }
}

void ProductCodec::load_rows(std::span<const std::byte* const> rows, float* loaded, AlignedBuffer&) const {
  load_plain(rows, loaded);
}

kernels::PackedCode ProductCodec::measure(const float* base, const float* difference, const float* values) const {
  constexpr std::size_t lanes = 4;
  float length2[lanes] = {}, along[lanes] = {}, base_code[lanes] = {}, base_difference[lanes] = {};
  for (std::size_t i = 0; i < padded_dim_; i += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const float w = difference[i + lane], s = values[i + lane], p = base[i + lane];
      length2[lane] += w * w;
      along[lane] += s * w;
      base_code[lane] += p * s;
      base_difference[lane] += p * w;
    }
  }
  const auto sum = [](const float* of) { return (of[0] + of[1]) + (of[2] + of[3]); };
  return {sum(length2), sum(along), sum(base_code), sum(base_difference)};
}

void ProductCodec::pack(const float* base, std::span<const float* const> rows, std::byte* block,
                        Workspace& workspace) const {
  constexpr std::size_t most = kernels::packed_neighbors;
  const std::size_t stride = padded_dim_;
  const std::size_t compared = round_up(rows.size(), kernels::panel_rows);
  clear(block, rows.size());
  // Differences, and behind them the values of one code.
  float* const differences = floats(workspace.differences, (round_up(most, kernels::panel_rows) + 1) * stride).data();
  float* const values = differences + round_up(most, kernels::panel_rows) * stride;
  for (std::size_t j = 0; j < rows.size(); ++j) {
    for (std::size_t i = 0; i < stride; ++i) differences[j * stride + i] = rows[j][i] - base[i];
  }
  workspace.least.resize(compared);
  workspace.entries.resize(parts() * compared);
  auto* const codes = reinterpret_cast<std::uint8_t*>(block) + 4 * most;
  for (std::size_t part = 0; part < parts(); ++part) {
    const kernels::CentroidPanels book_panels{book(part), offsets_.as<float>().data() + part * entries, panels,
                                              width(part)};
    std::uint32_t* const found = workspace.entries.data() + part * compared;
    table_->nearest(book_panels, differences + begins_[part], stride * sizeof(float), compared, workspace.least.data(),
                    found);
    for (std::size_t j = 0; j < rows.size(); ++j) codes[part * most + j] = static_cast<std::uint8_t>(found[j]);
  }
  std::fill(values + dim_, values + stride, 0.0f);
  for (std::size_t j = 0; j < rows.size(); ++j) {
    for (std::size_t part = 0; part < parts(); ++part) {
      const std::size_t entry = workspace.entries[part * compared + j];
      const float* from = book(part) + entry / panel * width(part) * panel + entry % panel;
      for (std::size_t d = 0; d < width(part); ++d) values[begins_[part] + d] = from[d * panel];
    }
    write_factors(measure(base, differences + j * stride, values), block, j);
  }
}

kernels::PackedQuery ProductCodec::prepare(const void* query, QueryScratch& scratch) const {
  const std::size_t padded_parts = round_up(parts(), 2);
  const auto values = floats(scratch.values, padded_dim_ + parts() * entries);
  float* const products = values.data() + padded_dim_;
  load(query, true, values.data());
  for (std::size_t part = 0; part < parts(); ++part) {
    table_->product.products(book(part), values.data() + begins_[part], width(part), products + part * entries);
  }
  if (scratch.table.size() != padded_parts * entries) scratch.table.resize(padded_parts * entries);
  auto* table = reinterpret_cast<std::uint8_t*>(scratch.table.data());
  float least = 0;
  const float step = table_->product.table(products, parts(), table, least);
  const float length_unit = std::sqrt(unit_);
  return {.table = table,
          .groups = padded_parts,
          .planes = 1,
          .scale = step / length_unit,
          .offset = least / length_unit,
          .unit = unit_};
}

}  // namespace fastcbir
