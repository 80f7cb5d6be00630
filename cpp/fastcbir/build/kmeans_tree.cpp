#include "fastcbir/build/kmeans_tree.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "fastcbir/build/kmeans_steps.hpp"
#include "fastcbir/core/parallel.hpp"
#include "fastcbir/core/rng.hpp"

namespace fastcbir {
namespace {

constexpr std::size_t slice = 192;            // rows a worker takes at a time
constexpr std::size_t rows_per_region = 256;  // of the sample that regions are learned from
constexpr std::size_t near_regions = 16;      // whose centroids a row meets in the end
constexpr std::size_t last_rounds = 4;
constexpr std::size_t many_clusters = 1024;  // of a region, which is then cut into regions itself
constexpr std::size_t most_depth = 3;        // equal rows can't be cut
constexpr std::size_t large_part = 8;        // a region of so large a part of the work is large
constexpr std::size_t members_slice = 4096;  // of a region, that a worker takes at a time

// The nearest of `regions` to each, itself among them.
std::vector<std::vector<std::uint32_t>> find_near(const Centroids& regions) {
  const Space& space = regions.space();
  const std::size_t count = regions.count();
  std::vector<float> floats(count * space.dim());
  for (std::size_t i = 0; i < count; ++i) {
    space.row_floats(regions.rows().row(static_cast<NodeId>(i)), floats.data() + i * space.dim());
  }
  std::vector<std::vector<std::uint32_t>> near(count);
  std::vector<float> distances(count);
  std::vector<std::uint32_t> order(count);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = 0; j < count; ++j) {
      float sum = 0;
      for (std::size_t d = 0; d < space.dim(); ++d) {
        const float difference = floats[i * space.dim() + d] - floats[j * space.dim() + d];
        sum += difference * difference;
      }
      distances[j] = i == j ? -1 : sum;
    }
    std::iota(order.begin(), order.end(), 0u);
    const std::size_t wanted = std::min(near_regions, count);
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(wanted), order.end(),
                      [&](std::uint32_t a, std::uint32_t b) {
                        return distances[a] < distances[b] || (distances[a] == distances[b] && a < b);
                      });
    near[i].assign(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(wanted));
  }
  return near;
}

std::size_t count_distinct(const VectorStore& rows, std::span<const std::uint32_t> chosen) {
  std::unordered_set<std::string_view> met;
  met.reserve(chosen.size());
  for (const std::uint32_t row : chosen) met.emplace(reinterpret_cast<const char*>(rows.row(row)), rows.stride_bytes());
  return met.size();
}

class Tree {
 public:
  Tree(const VectorStore& rows, const KMeansOptions& options, const Space& space, std::size_t depth)
      : rows_(rows),
        options_(options),
        depth_(depth),
        threads_(resolve_threads(options.threads)),
        regions_(space),
        trained_(space),
        rounds_(3 + last_rounds) {}

  double train(Centroids& centroids) {
    learn_regions();
    learn_within();
    double total = 0;
    for (std::size_t round = 0; round < last_rounds; ++round) total = improve(round);
    centroids = std::move(trained_);
    return total;
  }

 private:
  const Space& space() const { return regions_.space(); }
  std::size_t count() const { return rows_.size(); }
  PartMonitor part(std::size_t round) const { return part(round, 0, count()); }
  PartMonitor part(std::size_t round, std::size_t begin, std::size_t rows) const {
    return {options_.monitor, round * count() + begin, rows, rounds_ * count()};
  }

  void learn_regions() {
    const auto wanted = static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(options_.clusters))));
    PartMonitor learning = part(0);
    PartMonitor assigning = part(1);
    const auto drawn = draw_sample(count(), std::min(count(), wanted * rows_per_region), mix64(options_.seed));
    const std::vector<std::uint32_t> sample(drawn.begin(), drawn.end());
    train_kmeans(VectorStore(space(), copy_rows(rows_, sample)),
                 {wanted, options_.iterations, options_.seed, threads_, &learning}, regions_);
    region_of_.resize(count());
    const PackedCentroids packed = regions_.pack(count());
    std::vector<Centroids::Workspace> workspaces(threads_);
    parallel_for(count(), slice, threads_, &assigning, [&](std::size_t worker, std::size_t begin, std::size_t end) {
      regions_.nearest(rows_.row(static_cast<NodeId>(begin)), end - begin, packed, region_of_.data() + begin, nullptr,
                       workspaces[worker]);
    });
  }

  void learn_within() {
    const RowsByCluster sorted(region_of_, regions_.count());
    std::vector<std::size_t> sizes(regions_.count()), distinct(regions_.count());
    parallel_for(regions_.count(), 1, threads_, nullptr, [&](std::size_t, std::size_t region, std::size_t end) {
      for (; region < end; ++region) {
        sizes[region] = sorted.of(region).size();
        distinct[region] = count_distinct(rows_, sorted.of(region));
      }
    });
    // Equal rows need one cluster however many they are. Those that are left over go wherever there are rows.
    std::vector<std::size_t> shares = share_clusters(distinct, options_.clusters);
    std::size_t left = options_.clusters - std::accumulate(shares.begin(), shares.end(), std::size_t{0});
    for (std::size_t region = 0; left > 0; ++region) {
      const std::size_t more = std::min(left, sizes[region] - shares[region]);
      shares[region] += more;
      left -= more;
    }
    begins_.assign(1, 0);
    for (const std::size_t share : shares) begins_.push_back(begins_.back() + share);
    AlignedBuffer means;
    means.resize(options_.clusters * space().stride_bytes());
    settled_.resize(regions_.count());
    const auto learn = [&](std::size_t region, std::size_t threads, Monitor* monitor) {
      Centroids within(space());
      const VectorStore members(space(), copy_rows(rows_, sorted.of(region)));
      const KMeansOptions options{shares[region], options_.iterations, mix64(options_.seed + region), threads, monitor};
      if (shares[region] >= many_clusters && depth_ < most_depth) {
        Tree tree(members, options, space(), depth_ + 1);
        tree.train(within);
        settled_[region] = {std::move(tree.cluster_of_), std::move(tree.errors_)};
      } else {
        train_kmeans(members, options, within);
      }
      std::memcpy(means.data() + begins_[region] * space().stride_bytes(), within.rows().row(0),
                  shares[region] * space().stride_bytes());
    };
    // One that is most of the work gets all threads to itself; the others one each.
    double work = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i)
      work += static_cast<double>(sizes[i]) * static_cast<double>(shares[i]);
    std::vector<std::size_t> others;
    std::size_t done = 0;
    for (std::size_t region = 0; region < sizes.size(); ++region) {
      if (shares[region] == 0) continue;
      if (static_cast<double>(sizes[region]) * static_cast<double>(shares[region]) * large_part < work) {
        others.push_back(region);
        continue;
      }
      PartMonitor monitor = part(2, done, sizes[region]);
      learn(region, threads_, &monitor);
      done += sizes[region];
    }
    PartMonitor monitor = part(2, done, count() - done);
    parallel_for(others.size(), 1, threads_, &monitor, [&](std::size_t, std::size_t begin, std::size_t end) {
      for (; begin < end; ++begin) learn(others[begin], 1, nullptr);
    });
    trained_.assign_rows(std::move(means));
    near_ = find_near(regions_);
  }

  // A round in which each row is assigned among the centroids of the regions around its own; those of a region that was
  // cut again stay where its own rounds left them.
  double improve(std::size_t round) {
    cluster_of_.resize(count());
    errors_.resize(count());
    const RowsByCluster sorted(region_of_, regions_.count());
    PartMonitor monitor = part(3 + round);
    struct Piece {
      std::size_t region;
      std::span<const std::uint32_t> members;
    };
    std::vector<Piece> pieces;
    for (std::size_t region = 0; region < regions_.count(); ++region) {
      auto members = sorted.of(region);
      if (const Settled& settled = settled_[region]; !settled.cluster_of.empty()) {
        for (std::size_t i = 0; i < members.size(); ++i) {
          cluster_of_[members[i]] = static_cast<std::uint32_t>(begins_[region]) + settled.cluster_of[i];
          errors_[members[i]] = settled.errors[i];
        }
        continue;
      }
      while (!members.empty()) {
        const std::size_t some = std::min(members.size(), members_slice);
        pieces.push_back({region, members.first(some)});
        members = members.subspan(some);
      }
    }
    parallel_for(pieces.size(), 1, threads_, &monitor, [&](std::size_t, std::size_t begin, std::size_t end) {
      Centroids::Workspace workspace;
      for (; begin < end; ++begin) {
        const auto& [region, members] = pieces[begin];
        std::vector<std::uint32_t> met;
        for (const std::uint32_t near : near_[region]) {
          for (std::size_t i = begins_[near]; i < begins_[near + 1]; ++i) met.push_back(static_cast<std::uint32_t>(i));
        }
        const Centroids around(space(), copy_rows(trained_.rows(), met));
        const AlignedBuffer copies = copy_rows(rows_, members);
        std::vector<std::uint32_t> found(members.size());
        std::vector<float> distances(members.size());
        around.nearest(copies.data(), members.size(), around.pack(members.size()), found.data(), distances.data(),
                       workspace);
        for (std::size_t i = 0; i < members.size(); ++i) {
          cluster_of_[members[i]] = met[found[i]];
          errors_[members[i]] = distances[i];
        }
      }
    });
    const double total = std::accumulate(errors_.begin(), errors_.end(), 0.0);
    fill_empty(cluster_of_, errors_, options_.clusters);
    AlignedBuffer means = mean_rows(rows_, RowsByCluster(cluster_of_, options_.clusters), trained_, threads_);
    trained_.assign_rows(std::move(means));
    return total;
  }

  const VectorStore& rows_;
  const KMeansOptions& options_;
  std::size_t depth_;
  std::size_t threads_;
  Centroids regions_;
  Centroids trained_;
  std::size_t rounds_;  // of progress
  std::vector<std::uint32_t> region_of_;
  std::vector<std::size_t> begins_;  // of each region's centroids
  std::vector<std::vector<std::uint32_t>> near_;
  struct Settled {
    std::vector<std::uint32_t> cluster_of;
    std::vector<float> errors;
  };
  std::vector<Settled> settled_;  // a region; empty where it was not cut again
  // Of the last round:
  std::vector<std::uint32_t> cluster_of_;
  std::vector<float> errors_;
};

}  // namespace

std::vector<std::size_t> share_clusters(const std::vector<std::size_t>& sizes, std::size_t clusters) {
  const double all = static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), std::size_t{0}));
  std::vector<double> exact;
  std::vector<std::size_t> shares;
  for (const std::size_t size : sizes) {
    exact.push_back(static_cast<double>(clusters) * static_cast<double>(size) / std::max(all, 1.0));
    shares.push_back(std::min(size, std::max<std::size_t>(static_cast<std::size_t>(exact.back()), 1)));
  }
  // By the largest remainder; where every region's one has taken too many, back from those that have most beyond theirs.
  std::size_t given = std::accumulate(shares.begin(), shares.end(), std::size_t{0});
  while (given != clusters) {
    const bool more = given < clusters;
    std::size_t best = sizes.size();
    const auto lacks = [&](std::size_t i) { return exact[i] - static_cast<double>(shares[i]); };
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (more ? shares[i] >= sizes[i] : shares[i] <= 1) continue;
      if (best == sizes.size() || (more ? lacks(i) > lacks(best) : lacks(i) < lacks(best))) best = i;
    }
    if (best == sizes.size()) break;
    shares[best] += more ? 1 : std::size_t(-1);
    given += more ? 1 : std::size_t(-1);
  }
  return shares;
}

double train_kmeans_tree(const VectorStore& rows, const KMeansOptions& options, Centroids& centroids) {
  return Tree(rows, options, centroids.space(), 0).train(centroids);
}

}  // namespace fastcbir
