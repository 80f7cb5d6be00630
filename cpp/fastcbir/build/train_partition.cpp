#include "fastcbir/build/train_partition.hpp"

#include <stdexcept>
#include <string>

#include "fastcbir/build/kmeans_tree.hpp"
#include "fastcbir/search/flat_partition.hpp"
#include "fastcbir/search/product_partition.hpp"

namespace fastcbir {
namespace {

constexpr std::size_t iterations = 10;
// From here on they are learned in two steps.
constexpr std::size_t many_centroids = 1024;

}  // namespace

void check_partition(const Space& space, const IvfParams& params) {
  if (params.imi_bits == 0) return;
  if (space.dim() < 2) throw std::invalid_argument("a multi-index needs two halves: dim must be at least 2, got 1");
  if (space.metric() == Metric::cosine && bytes_of(space.type()) == 1) {
    throw std::invalid_argument("a multi-index can't take the cosine of 8-bit vectors; use float16 or float32");
  }
}

std::vector<Space> partition_spaces(const Space& space, const IvfParams& params) {
  if (params.imi_bits == 0) return {space};
  return {ProductPartition::half_of(space, false), ProductPartition::half_of(space, true)};
}

std::shared_ptr<const Partition> make_partition(const Space& space, std::vector<Centroids> codebooks) {
  if (codebooks.size() == 1) return std::make_shared<FlatPartition>(std::move(codebooks[0]));
  return std::make_shared<ProductPartition>(space, std::move(codebooks[0]), std::move(codebooks[1]));
}

std::shared_ptr<const Partition> train_partition(const Space& space, const VectorStore& sample, std::size_t centroids,
                                                 const IvfParams& params, std::size_t threads, Monitor* monitor) {
  std::vector<Centroids> codebooks;
  const std::vector<Space> spaces = partition_spaces(space, params);
  for (std::size_t part = 0; part < spaces.size(); ++part) {
    const std::size_t work = iterations * sample.size();
    PartMonitor half(monitor, part * work, work, spaces.size() * work);
    const KMeansOptions options{centroids, iterations, params.seed, threads, &half};
    const auto train = [&](const VectorStore& rows) {
      (centroids < many_centroids ? train_kmeans : train_kmeans_tree)(rows, options, codebooks.back());
    };
    codebooks.emplace_back(spaces[part]);
    if (spaces.size() == 1) {
      train(sample);
      continue;
    }
    AlignedBuffer rows;
    ProductPartition::split(space, part == 1, sample.row(0), sample.size(), false, rows);
    train(VectorStore(spaces[part], std::move(rows)));
  }
  return make_partition(space, std::move(codebooks));
}

}  // namespace fastcbir
