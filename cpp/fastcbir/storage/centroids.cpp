#include "fastcbir/storage/centroids.hpp"

#include <algorithm>
#include <cstring>

#include "fastcbir/kernels/dispatch.hpp"

namespace fastcbir {
namespace {

// A tile of values stays in the second-level cache, its centroids too.
constexpr std::size_t row_tile = 48;
constexpr std::size_t centroid_tile = 128;

// Coordinates as floats; `row` is a stored row.
double half_squared_length(const Space& space, const std::byte* row) {
  std::vector<std::byte> input(space.input_bytes());
  space.decode(row, input.data());
  double sum = 0;
  for (std::size_t i = 0; i < space.dim(); ++i) {
    double x = 0;
    switch (space.type()) {
      case ScalarType::f32:
      case ScalarType::f16: x = double{reinterpret_cast<const float*>(input.data())[i]}; break;
      case ScalarType::u8: x = reinterpret_cast<const std::uint8_t*>(input.data())[i]; break;
      case ScalarType::i8: x = reinterpret_cast<const std::int8_t*>(input.data())[i]; break;
    }
    sum += x * x;
  }
  return sum / 2;
}

// The least of values[i] + offsets[i], and the first place of it, where it is below the best so far. Sixteen lanes, so that compilers
// use vectors; the place is looked for only where there is something to find.
struct Least {
  float value = infinity;
  std::uint32_t at = 0;
};

void lower_to(Least& best, const float* values, const float* offsets, std::size_t count, std::size_t first) {
  constexpr std::size_t lanes = 16;
  float least[lanes];
  std::fill_n(least, lanes, best.value);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const float value = values[i + lane] + offsets[i + lane];
      least[lane] = value < least[lane] ? value : least[lane];
    }
  }
  for (; i < count; ++i) least[0] = std::min(least[0], values[i] + offsets[i]);
  const float found = *std::min_element(least, least + lanes);
  if (!(found < best.value)) return;
  std::size_t at = 0;
  while (values[at] + offsets[at] != found) ++at;
  best = {found, static_cast<std::uint32_t>(first + at)};
}

}  // namespace

Centroids::Centroids(const Space& space, AlignedBuffer rows) : space_(space), rows_(space, std::move(rows)) {
  set_offsets();
}

void Centroids::assign_rows(AlignedBuffer rows) {
  rows_ = VectorStore(space_, std::move(rows));
  set_offsets();
}

void Centroids::set_offsets() {
  offsets_.assign(count(), 0.0f);
  if (space_.metric() == Metric::cosine) return;
  for (std::size_t i = 0; i < count(); ++i) {
    offsets_[i] = static_cast<float>(half_squared_length(space_, rows_.row(static_cast<NodeId>(i))));
  }
}

void Centroids::nearest(const std::byte* rows, std::size_t count, std::uint32_t* found, float* errors,
                        Workspace& workspace) const {
  const bool cosine_of_bytes = space_.metric() == Metric::cosine && bytes_of(space_.type()) == 1;
  const auto& kernels =
      kernels::distance_kernels(kernels::active(), space_.type(), cosine_of_bytes ? Metric::cosine : Metric::ip);
  const std::size_t stride = space_.stride_bytes();
  const std::size_t query_stride = space_.query_stride_bytes();
  workspace.values.resize(row_tile * centroid_tile);
  for (std::size_t begin = 0; begin < count; begin += row_tile) {
    const std::size_t queries = std::min(row_tile, count - begin);
    const std::byte* query_rows = rows + begin * stride;
    if (space_.type() == ScalarType::f16) {
      workspace.queries.resize(row_tile * query_stride);
      for (std::size_t q = 0; q < queries; ++q) {
        space_.row_query(rows + (begin + q) * stride, workspace.converted);
        std::memcpy(workspace.queries.data() + q * query_stride, workspace.converted.data(), query_stride);
      }
      query_rows = workspace.queries.data();
    }
    Least best[row_tile];
    for (std::size_t first = 0; first < this->count(); first += centroid_tile) {
      const std::size_t centroids = std::min(centroid_tile, this->count() - first);
      kernels.tile(query_rows, query_stride, queries, rows_.row(static_cast<NodeId>(first)), stride, centroids,
                   space_.dim(), workspace.values.data(), centroid_tile);
      for (std::size_t q = 0; q < queries; ++q) {
        lower_to(best[q], workspace.values.data() + q * centroid_tile, offsets_.data() + first, centroids, first);
      }
    }
    for (std::size_t q = 0; q < queries; ++q) {
      found[begin + q] = best[q].at;
      if (errors == nullptr) continue;
      const double own =
          space_.metric() == Metric::cosine ? 0 : half_squared_length(space_, rows + (begin + q) * stride);
      errors[begin + q] = static_cast<float>(own + best[q].value);
    }
  }
}

}  // namespace fastcbir
