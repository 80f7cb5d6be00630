// Square windows around cells of a feature map, zero beyond its edges: what LoFTR refines a match with. Floor 3.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastcbir {

// Rows of pixels, each with its channels together.
struct FeatureMap {
  const float* data;
  std::size_t rows;
  std::size_t columns;
  std::size_t channels;
};

// For each of `count` centres, numbered row by row on a grid of `grid_columns` cells that are `step` pixels of the map
// apart: the side x side window around it, (count, side * side, channels) into `out`. side is odd.
void gather_windows(const FeatureMap& map, const std::int32_t* cells, std::size_t count, std::size_t grid_columns,
                    std::size_t step, std::size_t side, float* out);

}  // namespace fastcbir
