#include "fastcbir/build/kmeans.hpp"

#include <numeric>
#include <vector>

#include "fastcbir/build/kmeans_steps.hpp"
#include "fastcbir/core/parallel.hpp"
#include "fastcbir/core/rng.hpp"

namespace fastcbir {
namespace {

constexpr std::size_t slice = 192;  // rows a worker takes at a time

}  // namespace

std::vector<std::size_t> draw_sample(std::size_t size, std::size_t count, std::uint64_t seed) {
  // Selection sampling (Knuth, volume 2, algorithm S): one pass, in order.
  std::vector<std::size_t> chosen;
  chosen.reserve(count);
  for (std::size_t i = 0; i < size && chosen.size() < count; ++i) {
    const double left = static_cast<double>(size - i);
    const double wanted = static_cast<double>(count - chosen.size());
    if (wanted >= left || uniform(seed, i) * left <= wanted) chosen.push_back(i);
  }
  return chosen;
}

double train_kmeans(const VectorStore& rows, const KMeansOptions& options, Centroids& centroids) {
  const Space& space = centroids.space();
  const std::size_t count = rows.size();
  const std::size_t clusters = options.clusters;
  const std::size_t threads = resolve_threads(options.threads);

  const std::vector<std::size_t> drawn = draw_sample(count, clusters, options.seed);
  Centroids trained(space, copy_rows(rows, std::vector<std::uint32_t>(drawn.begin(), drawn.end())));

  std::vector<std::uint32_t> cluster_of(count), before;
  std::vector<float> errors(count);
  std::vector<Centroids::Workspace> workspaces(threads);
  double total = 0;
  for (std::size_t iteration = 0; iteration < options.iterations; ++iteration) {
    PartMonitor monitor(options.monitor, iteration * count, count, options.iterations * count);
    const PackedCentroids packed = trained.pack(count);
    parallel_for(count, slice, threads, &monitor, [&](std::size_t worker, std::size_t begin, std::size_t end) {
      trained.nearest(rows.row(static_cast<NodeId>(begin)), end - begin, packed, cluster_of.data() + begin,
                      errors.data() + begin, workspaces[worker]);
    });
    monitor.tick(count, count);  // passes may be too short to have told
    total = std::accumulate(errors.begin(), errors.end(), 0.0);
    fill_empty(cluster_of, errors, clusters);
    if (cluster_of == before) break;  // so would all further ones be
    before = cluster_of;
    AlignedBuffer means = mean_rows(rows, RowsByCluster(cluster_of, clusters), trained, threads);
    trained.assign_rows(std::move(means));
  }
  centroids = std::move(trained);
  return total;
}

}  // namespace fastcbir
