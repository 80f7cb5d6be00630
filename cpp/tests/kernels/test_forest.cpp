// Forests of every table that can run here against a walk down each tree; the same number to the bit.
#include <vector>

#include "doctest/doctest.h"
#include "fastcbir/core/rng.hpp"
#include "reference.hpp"

namespace fastcbir::test {
namespace {

using kernels::ForestBlock;

std::vector<ForestBlock> random_forest(std::size_t blocks, std::uint64_t seed) {
  std::vector<ForestBlock> forest(blocks);
  std::uint64_t counter = 0;
  const auto draw = [&] { return uniform(seed, counter++); };
  for (ForestBlock& block : forest) {
    for (std::size_t lane = 0; lane < kernels::forest_lanes; ++lane) {
      for (std::size_t node = 0; node < kernels::forest_nodes; ++node) {
        block.feature[node][lane] = static_cast<std::uint32_t>(draw() * 7.99);
        block.threshold[node][lane] = static_cast<float>(draw());
      }
      for (std::size_t leaf = 0; leaf < kernels::forest_leaves; ++leaf) {
        block.leaf[leaf][lane] = static_cast<float>(draw() - 0.5);
      }
    }
  }
  return forest;
}

double walk(const std::vector<ForestBlock>& forest, const float* features) {
  double sum = 0;
  for (const ForestBlock& block : forest) {
    for (std::size_t lane = 0; lane < kernels::forest_lanes; ++lane) {
      std::size_t node = 0;
      while (node < kernels::forest_nodes) {
        node = 2 * node + (features[block.feature[node][lane]] > block.threshold[node][lane] ? 2 : 1);
      }
      sum += static_cast<double>(block.leaf[node - kernels::forest_nodes][lane]);
    }
  }
  return sum;
}

}  // namespace

TEST_CASE("a forest is the sum of the leaves that its trees lead to") {
  for (const std::size_t blocks : {0, 1, 3, 7}) {
    const std::vector<ForestBlock> forest = random_forest(blocks, blocks);
    for (std::uint64_t round = 0; round < 50; ++round) {
      alignas(32) float features[kernels::forest_features];
      for (std::size_t i = 0; i < kernels::forest_features; ++i) {
        features[i] = static_cast<float>(uniform(round + 100, i));
      }
      features[round % 8] = forest.empty() ? 0 : forest[0].threshold[0][round % 16];  // equal is not above
      const double expected = walk(forest, features);
      const KernelTable* first = nullptr;  // none where an instruction set is asked for that can't run here
      for (const KernelTable* table : tables_under_test()) {
        const float sum = table->forest(features, forest.data(), blocks);
        CHECK_MESSAGE(sum == doctest::Approx(expected).epsilon(1e-5), table->name);
        if (first == nullptr) first = table;
        CHECK_MESSAGE(sum == first->forest(features, forest.data(), blocks), table->name);
      }
    }
  }
}

}  // namespace fastcbir::test
