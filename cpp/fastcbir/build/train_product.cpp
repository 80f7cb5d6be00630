#include "fastcbir/build/train_product.hpp"

#include <algorithm>
#include <exception>
#include <vector>

#include "fastcbir/build/kmeans.hpp"
#include "fastcbir/build/kmeans_steps.hpp"
#include "fastcbir/build/list_builder.hpp"
#include "fastcbir/core/rng.hpp"

namespace fastcbir {
namespace {

constexpr std::size_t entries = kernels::product_entries;
constexpr std::size_t iterations = 20;

// Rows, and their lists.
struct Placed {
  VectorStore store;
  std::vector<std::uint32_t> lists;
};

Placed place(const Space& space, const Partition& partition, const VectorStore& sample, std::size_t most,
             std::uint64_t seed, std::size_t threads) {
  const std::size_t count = std::min(sample.size(), most);
  std::vector<std::uint32_t> drawn;
  for (const std::size_t i : draw_sample(sample.size(), count, seed)) drawn.push_back(static_cast<std::uint32_t>(i));
  Placed placed{VectorStore(space, copy_rows(sample, drawn)), std::vector<std::uint32_t>(count)};
  const ParallelOutcome outcome = assign_lists(partition, placed.store, 0, placed.lists, threads, nullptr);
  if (outcome.error) std::rethrow_exception(outcome.error);
  return placed;
}

}  // namespace

float typical_reach(const Space& space, const Partition& partition, const VectorStore& sample, std::size_t threads) {
  if (space.metric() != Metric::cosine || bytes_of(space.type()) == 1) return 1;
  constexpr std::size_t most = 2'000;
  const Placed placed = place(space, partition, sample, most, 0, threads);
  AlignedBuffer centroid;
  centroid.resize(space.stride_bytes());
  std::vector<float> c(space.dim()), x(space.dim());
  double along = 0, length2 = 0;
  for (std::size_t i = 0; i < placed.lists.size(); ++i) {
    partition.centroid(placed.lists[i], centroid.data());
    space.row_floats(centroid.data(), c.data());
    space.row_floats(placed.store.row(static_cast<NodeId>(i)), x.data());
    for (std::size_t d = 0; d < space.dim(); ++d) {
      along += double{c[d]} * x[d];
      length2 += double{c[d]} * c[d];
    }
  }
  return along > 0 && length2 > 0 ? static_cast<float>(along / length2) : 1;
}

void train_product(ProductCodec& codec, const Space& space, const Partition& partition, float reach,
                   const VectorStore& sample, std::uint64_t seed, std::size_t threads, Monitor* monitor) {
  const Placed placed = place(space, partition, sample, product_sample, mix64(seed + 2), threads);
  const std::size_t count = placed.lists.size();
  const std::size_t dim = space.dim();
  std::vector<float> differences(count * dim);
  AlignedBuffer centroid;
  centroid.resize(space.stride_bytes());
  std::vector<float> c(dim);
  for (std::size_t i = 0; i < count; ++i) {
    float* const to = differences.data() + i * dim;
    partition.centroid(placed.lists[i], centroid.data());
    space.row_floats(centroid.data(), c.data());
    space.row_floats(placed.store.row(static_cast<NodeId>(i)), to);
    for (std::size_t d = 0; d < dim; ++d) to[d] -= reach * c[d];
  }
  AlignedBuffer books;
  books.resize(codec.books_bytes());
  float* to = books.as<float>().data();
  for (std::size_t part = 0; part < codec.parts(); ++part) {
    const std::size_t width = codec.width(part);
    const Space own(width, Metric::l2, ScalarType::f32);
    AlignedBuffer rows;
    rows.resize(count * own.stride_bytes());
    for (std::size_t i = 0; i < count; ++i) {
      std::copy_n(differences.data() + i * dim + codec.begin(part), width,
                  reinterpret_cast<float*>(rows.data() + i * own.stride_bytes()));
    }
    const std::size_t clusters = std::min(entries, count);
    PartMonitor counted(monitor, part, 1, codec.parts());
    Centroids centroids(own);
    train_kmeans(VectorStore(own, std::move(rows)), {clusters, iterations, seed, threads, &counted}, centroids);
    // Where rows are fewer than entries, the others stay what the first is.
    for (std::size_t entry = 0; entry < entries; ++entry) {
      const auto* from =
          reinterpret_cast<const float*>(centroids.rows().row(static_cast<NodeId>(entry < clusters ? entry : 0)));
      constexpr std::size_t panel = kernels::panel_width;
      for (std::size_t d = 0; d < width; ++d) to[(entry / panel * width + d) * panel + entry % panel] = from[d];
    }
    to += width * entries;
  }
  codec.set_books(std::move(books));
}

}  // namespace fastcbir
