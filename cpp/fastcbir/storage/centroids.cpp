#include "fastcbir/storage/centroids.hpp"

#include <algorithm>
#include <cstring>

#include "fastcbir/kernels/dispatch.hpp"

namespace fastcbir {
namespace {

// A tile of values stays in the second-level cache, its centroids too.
constexpr std::size_t row_tile = 48;
constexpr std::size_t centroid_tile = 128;

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
  std::vector<float> floats(space_.dim());
  for (std::size_t i = 0; i < count(); ++i) {
    space_.row_floats(rows_.row(static_cast<NodeId>(i)), floats.data());
    double sum = 0;
    for (const float x : floats) sum += double{x} * double{x};
    offsets_[i] = static_cast<float>(sum / 2);
  }
}

void Centroids::nearest(const std::byte* rows, std::size_t count, const PackedCentroids& packed, std::uint32_t* found,
                        float* errors, Workspace& workspace) const {
  workspace.least.resize(count);
  float* const least = errors != nullptr ? errors : workspace.least.data();
  if (packed.empty()) {
    nearest_by_tiles(rows, count, found, least, workspace);
  } else {
    nearest_by_panels(rows, count, packed.panels(), found, least, workspace);
  }
  if (errors == nullptr || space_.metric() == Metric::cosine) return;
  const auto& kernels = kernels::distance_kernels(kernels::active(), space_.type(), Metric::ip);
  for (std::size_t i = 0; i < count; ++i) {
    const std::byte* const row = rows + i * space_.stride_bytes();
    const RowQuery query = space_.row_query(row, workspace.converted);
    errors[i] -= kernels.one(query.data, row, space_.dim()) / 2;
  }
}

// Rows as floats: as they are, or converted, and then padded to whole groups.
void Centroids::nearest_by_panels(const std::byte* rows, std::size_t count, const kernels::CentroidPanels& panels,
                                  std::uint32_t* found, float* least, Workspace& workspace) const {
  constexpr std::size_t group = kernels::panel_rows;
  const std::size_t stride = round_up(space_.dim() * sizeof(float), row_alignment);
  const auto nearest = kernels::active().nearest;
  const std::size_t as_they_are = space_.type() == ScalarType::f32 ? count / group * group : 0;
  if (as_they_are > 0) nearest(panels, reinterpret_cast<const float*>(rows), stride, as_they_are, least, found);
  constexpr std::size_t most = 4 * group;
  if (as_they_are < count && workspace.queries.size() < most * stride) workspace.queries.resize(most * stride);
  for (std::size_t begin = as_they_are; begin < count; begin += most) {
    const std::size_t some = std::min(most, count - begin);
    const std::size_t padded = (some + group - 1) / group * group;
    for (std::size_t i = 0; i < padded; ++i) {
      const std::byte* const row = rows + (begin + std::min(i, some - 1)) * space_.stride_bytes();
      space_.row_floats(row, reinterpret_cast<float*>(workspace.queries.data() + i * stride));
    }
    float values[most];
    std::uint32_t places[most];
    nearest(panels, workspace.queries.as<float>().data(), stride, padded, values, places);
    std::copy_n(values, some, least + begin);
    std::copy_n(places, some, found + begin);
  }
}

void Centroids::nearest_by_tiles(const std::byte* rows, std::size_t count, std::uint32_t* found, float* least,
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
      least[begin + q] = best[q].value;
    }
  }
}

}  // namespace fastcbir
