#include "fastcbir/build/kmeans.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "fastcbir/core/parallel.hpp"
#include "fastcbir/core/rng.hpp"

namespace fastcbir {
namespace {

constexpr std::size_t slice = 192;  // rows a worker takes at a time

// Progress of one of several passes as progress of them all.
class PassMonitor final : public Monitor {
 public:
  PassMonitor(Monitor* whole, std::size_t pass, std::size_t passes) : whole_(whole), pass_(pass), passes_(passes) {}
  void tick(std::size_t done, std::size_t total) override { whole_->tick(pass_ * total + done, passes_ * total); }

 private:
  Monitor* whole_;
  std::size_t pass_;
  std::size_t passes_;
};

void add_row(const Space& space, const std::byte* row, std::vector<float>& floats, double* sums) {
  space.row_floats(row, floats.data());
  for (std::size_t i = 0; i < space.dim(); ++i) sums[i] += double{floats[i]};
}

// The mean of `count` rows as a row. False, and nothing written, where it has no direction under cosine.
bool write_mean(const Space& space, const double* sums, std::size_t count, std::vector<std::byte>& input,
                std::byte* row) {
  const double scale = 1 / static_cast<double>(count);
  bool all_zero = true;
  const auto write = [&](auto* values, auto&& convert) {
    for (std::size_t i = 0; i < space.dim(); ++i) {
      values[i] = convert(sums[i] * scale);
      all_zero = all_zero && values[i] == 0;
    }
  };
  switch (space.type()) {
    case ScalarType::f32:
    case ScalarType::f16:
      write(reinterpret_cast<float*>(input.data()), [](double x) { return static_cast<float>(x); });
      break;
    case ScalarType::u8:
      write(reinterpret_cast<std::uint8_t*>(input.data()),
            [](double x) { return static_cast<std::uint8_t>(std::lround(x)); });
      break;
    case ScalarType::i8:
      write(reinterpret_cast<std::int8_t*>(input.data()),
            [](double x) { return static_cast<std::int8_t>(std::lround(x)); });
      break;
  }
  if (all_zero && space.metric() == Metric::cosine) return false;
  space.encode(input.data(), row);
  return true;
}

// Rows of each cluster, one cluster after the other, each in the order of the rows.
void sort_by_cluster(const std::vector<std::uint32_t>& cluster_of, std::vector<std::size_t>& begins,
                     std::vector<std::uint32_t>& rows) {
  std::fill(begins.begin(), begins.end(), 0);
  for (const std::uint32_t cluster : cluster_of) ++begins[cluster + 1];
  std::partial_sum(begins.begin(), begins.end(), begins.begin());
  std::vector<std::size_t> next(begins.begin(), begins.end() - 1);
  for (std::size_t row = 0; row < cluster_of.size(); ++row) {
    rows[next[cluster_of[row]]++] = static_cast<std::uint32_t>(row);
  }
}

// Gives each empty cluster the row that is worst off where it is and can be spared there.
void fill_empty(std::vector<std::uint32_t>& cluster_of, const std::vector<float>& errors, std::size_t clusters) {
  std::vector<std::uint32_t> sizes(clusters);
  for (const std::uint32_t cluster : cluster_of) ++sizes[cluster];
  const auto empty = static_cast<std::size_t>(std::count(sizes.begin(), sizes.end(), 0u));
  if (empty == 0) return;
  std::vector<std::uint32_t> worst(cluster_of.size());
  std::iota(worst.begin(), worst.end(), 0u);
  std::sort(worst.begin(), worst.end(), [&](std::uint32_t a, std::uint32_t b) {
    return errors[a] > errors[b] || (errors[a] == errors[b] && a < b);
  });
  auto row = worst.begin();
  for (std::size_t cluster = 0; cluster < clusters; ++cluster) {
    if (sizes[cluster] > 0) continue;
    while (row != worst.end() && sizes[cluster_of[*row]] < 2) ++row;
    if (row == worst.end()) return;
    --sizes[cluster_of[*row]];
    cluster_of[*row] = static_cast<std::uint32_t>(cluster);
    sizes[cluster] = 1;
    ++row;
  }
}

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

AlignedBuffer mean_row(const VectorStore& rows, const Space& space) {
  AlignedBuffer mean;
  mean.resize(space.stride_bytes());
  std::vector<std::byte> input(space.input_bytes());
  std::vector<float> floats(space.dim());
  std::vector<double> sums(space.dim());
  for (std::size_t row = 0; row < rows.size(); ++row)
    add_row(space, rows.row(static_cast<NodeId>(row)), floats, sums.data());
  if (!write_mean(space, sums.data(), rows.size(), input, mean.data())) {
    std::memcpy(mean.data(), rows.row(0), space.stride_bytes());
  }
  return mean;
}

double train_kmeans(const VectorStore& rows, const KMeansOptions& options, Centroids& centroids) {
  const Space& space = centroids.space();
  const std::size_t count = rows.size();
  const std::size_t clusters = options.clusters;
  const std::size_t stride = space.stride_bytes();
  const std::size_t threads = resolve_threads(options.threads);

  AlignedBuffer initial;
  initial.resize(clusters * stride);
  const std::vector<std::size_t> first = draw_sample(count, clusters, options.seed);
  for (std::size_t i = 0; i < clusters; ++i) {
    std::memcpy(initial.data() + i * stride, rows.row(static_cast<NodeId>(first[i])), stride);
  }
  Centroids trained(space, std::move(initial));

  std::vector<std::uint32_t> cluster_of(count);
  std::vector<float> errors(count);
  std::vector<std::size_t> begins(clusters + 1);
  std::vector<std::uint32_t> sorted(count);
  std::vector<Centroids::Workspace> workspaces(threads);
  double total = 0;
  for (std::size_t iteration = 0; iteration < options.iterations; ++iteration) {
    PassMonitor monitor(options.monitor, iteration, options.iterations);
    const PackedCentroids packed = trained.pack(count);
    parallel_for(count, slice, threads, options.monitor != nullptr ? &monitor : nullptr,
                 [&](std::size_t worker, std::size_t begin, std::size_t end) {
                   trained.nearest(rows.row(static_cast<NodeId>(begin)), end - begin, packed, cluster_of.data() + begin,
                                   errors.data() + begin, workspaces[worker]);
                 });
    if (options.monitor != nullptr) monitor.tick(count, count);  // passes may be too short to have told
    total = std::accumulate(errors.begin(), errors.end(), 0.0);
    fill_empty(cluster_of, errors, clusters);
    sort_by_cluster(cluster_of, begins, sorted);
    AlignedBuffer means;
    means.resize(clusters * stride);
    parallel_for(clusters, 1, threads, nullptr, [&](std::size_t, std::size_t begin, std::size_t end) {
      std::vector<std::byte> input(space.input_bytes());
      std::vector<float> floats(space.dim());
      std::vector<double> sums(space.dim());
      for (; begin < end; ++begin) {
        std::byte* mean = means.data() + begin * stride;
        std::fill(sums.begin(), sums.end(), 0.0);
        for (std::size_t i = begins[begin]; i < begins[begin + 1]; ++i) {
          add_row(space, rows.row(sorted[i]), floats, sums.data());
        }
        const std::size_t size = begins[begin + 1] - begins[begin];
        if (size == 0 || !write_mean(space, sums.data(), size, input, mean)) {
          std::memcpy(mean, trained.rows().row(static_cast<NodeId>(begin)), stride);
        }
      }
    });
    trained.assign_rows(std::move(means));
  }
  centroids = std::move(trained);
  return total;
}

}  // namespace fastcbir
