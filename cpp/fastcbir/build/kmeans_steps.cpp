#include "fastcbir/build/kmeans_steps.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "fastcbir/build/kmeans.hpp"
#include "fastcbir/core/parallel.hpp"

namespace fastcbir {
namespace {

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

}  // namespace

RowsByCluster::RowsByCluster(const std::vector<std::uint32_t>& cluster_of, std::size_t clusters)
    : begins(clusters + 1), rows(cluster_of.size()) {
  for (const std::uint32_t cluster : cluster_of) ++begins[cluster + 1];
  std::partial_sum(begins.begin(), begins.end(), begins.begin());
  std::vector<std::size_t> next(begins.begin(), begins.end() - 1);
  for (std::size_t row = 0; row < cluster_of.size(); ++row) {
    rows[next[cluster_of[row]]++] = static_cast<std::uint32_t>(row);
  }
}

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

AlignedBuffer mean_rows(const VectorStore& rows, const RowsByCluster& sorted, const Centroids& before,
                        std::size_t threads) {
  const Space& space = before.space();
  const std::size_t stride = space.stride_bytes();
  AlignedBuffer means;
  means.resize(before.count() * stride);
  parallel_for(before.count(), 1, threads, nullptr, [&](std::size_t, std::size_t begin, std::size_t end) {
    std::vector<std::byte> input(space.input_bytes());
    std::vector<float> floats(space.dim());
    std::vector<double> sums(space.dim());
    for (; begin < end; ++begin) {
      std::byte* mean = means.data() + begin * stride;
      std::fill(sums.begin(), sums.end(), 0.0);
      const auto members = sorted.of(begin);
      for (const std::uint32_t row : members) add_row(space, rows.row(row), floats, sums.data());
      if (members.empty() || !write_mean(space, sums.data(), members.size(), input, mean)) {
        std::memcpy(mean, before.rows().row(static_cast<NodeId>(begin)), stride);
      }
    }
  });
  return means;
}

AlignedBuffer copy_rows(const VectorStore& rows, std::span<const std::uint32_t> chosen) {
  const std::size_t stride = rows.stride_bytes();
  AlignedBuffer copies;
  copies.resize(chosen.size() * stride);
  for (std::size_t i = 0; i < chosen.size(); ++i) std::memcpy(copies.data() + i * stride, rows.row(chosen[i]), stride);
  return copies;
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

}  // namespace fastcbir
