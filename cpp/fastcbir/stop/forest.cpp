#include "fastcbir/stop/forest.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace fastcbir {

Forest::Forest(float bias, const float* linear, AlignedBuffer blocks) : bias_(bias), blocks_(std::move(blocks)) {
  std::copy_n(linear, kernels::forest_features, linear_);
  bool sound = std::isfinite(bias_) && std::all_of(linear_, linear_ + kernels::forest_features,
                                                   [](float weight) { return std::isfinite(weight); });
  const AlignedBuffer& held = blocks_;
  for (const kernels::ForestBlock& block : held.as<kernels::ForestBlock>()) {
    for (std::size_t lane = 0; lane < kernels::forest_lanes; ++lane) {
      for (std::size_t node = 0; node < kernels::forest_nodes; ++node) {
        sound =
            sound && block.feature[node][lane] < kernels::forest_features && !std::isnan(block.threshold[node][lane]);
      }
      for (std::size_t leaf = 0; leaf < kernels::forest_leaves; ++leaf) {
        sound = sound && std::isfinite(block.leaf[leaf][lane]);
      }
    }
  }
  if (!sound) throw std::invalid_argument("the learned stop model has a forest with numbers out of range");
}

}  // namespace fastcbir
