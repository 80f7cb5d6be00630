// Forest: boosted trees and a linear form, evaluated between two lists. Floor 3.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastcbir/core/aligned_buffer.hpp"
#include "fastcbir/kernels/dispatch.hpp"

namespace fastcbir {

class Forest {
 public:
  // blocks: kernels::ForestBlock. Throws std::invalid_argument for features out of range or numbers that are none.
  Forest(float bias, const float* linear, AlignedBuffer blocks);

  // features: kernels::forest_features numbers.
  float gain(const float* features) const {
    float sum = bias_;
    for (std::size_t i = 0; i < kernels::forest_features; ++i) sum += linear_[i] * features[i];
    const auto blocks = blocks_.as<kernels::ForestBlock>();
    return blocks.empty() ? sum : sum + evaluate_(features, blocks.data(), blocks.size());
  }

 private:
  float bias_;
  float linear_[kernels::forest_features];
  AlignedBuffer blocks_;
  decltype(kernels::KernelTable::forest) evaluate_ = kernels::active().forest;
};

}  // namespace fastcbir
