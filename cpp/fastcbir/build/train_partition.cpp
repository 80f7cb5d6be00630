#include "fastcbir/build/train_partition.hpp"

#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_set>

#include "fastcbir/build/graph_walk.hpp"
#include "fastcbir/build/hnsw_builder.hpp"
#include "fastcbir/build/kmeans_steps.hpp"
#include "fastcbir/build/kmeans_tree.hpp"
#include "fastcbir/search/flat_partition.hpp"
#include "fastcbir/search/graph_partition.hpp"
#include "fastcbir/search/product_partition.hpp"

namespace fastcbir {
namespace {

constexpr std::size_t iterations = 10;
// From here on they are learned in two steps.
constexpr std::size_t many_centroids = 1024;

// Puts those first that equal none before them; how many there are.
std::size_t put_distinct_first(const Space& space, Centroids& centroids) {
  const VectorStore& rows = centroids.rows();
  std::vector<std::uint32_t> order, equal;
  std::unordered_set<std::string_view> met;
  for (std::uint32_t i = 0; i < rows.size(); ++i) {
    const std::string_view bytes(reinterpret_cast<const char*>(rows.row(i)), rows.stride_bytes());
    (met.insert(bytes).second ? order : equal).push_back(i);
  }
  const std::size_t distinct = order.size();
  if (equal.empty()) return distinct;
  order.insert(order.end(), equal.begin(), equal.end());
  centroids = Centroids(space, copy_rows(rows, order));
  return distinct;
}

// On one thread, which makes the same graph each time: the centroids took far longer to learn. Equal ones beyond the
// first are left out, lest they keep each other's places in a search: nothing is nearer to them than to that.
std::shared_ptr<const Partition> with_graph(const Space& space, Centroids centroids, std::uint64_t seed,
                                            Monitor* monitor) {
  const HnswParams params = centroid_graph_params(seed);
  HnswGraph graph(params, 0);
  const std::size_t distinct = put_distinct_first(space, centroids);
  graph.links.append(draw_levels(params, 0, distinct));
  HnswBuilder builder(params, space, centroids.rows(), graph);
  PartMonitor counted(monitor, 1, 0, 1);
  if (const ParallelOutcome outcome = builder.insert(0, distinct, 1, &counted); outcome.error) {
    std::rethrow_exception(outcome.error);
  }
  reconnect(builder, graph, 1);
  return std::make_shared<GraphPartition>(std::move(centroids), std::move(graph.links), graph.entry);
}

}  // namespace

HnswParams centroid_graph_params(std::uint64_t seed) {
  return {.m = centroid_graph_m, .ef_construction = 100, .seed = seed};
}

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
  if (spaces.size() == 1 && GraphPartition::suits(space, centroids, params.code_bits > 0)) {
    return with_graph(space, std::move(codebooks[0]), params.seed, monitor);
  }
  return make_partition(space, std::move(codebooks));
}

}  // namespace fastcbir
