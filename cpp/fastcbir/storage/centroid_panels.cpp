#include "fastcbir/storage/centroid_panels.hpp"

#include <algorithm>
#include <vector>

namespace fastcbir {

PackedCentroids::PackedCentroids(const Space& space, const VectorStore& centroids, std::span<const float> offsets,
                                 std::size_t rows) {
  constexpr std::size_t width = kernels::panel_width;
  const std::size_t count = centroids.size();
  if (rows < 4 * kernels::panel_rows || count < width) return;
  const std::size_t dim = space.dim();
  const std::size_t panels = (count + width - 1) / width;
  values_.resize(panels * dim * width * sizeof(float));
  offsets_.resize(panels * width * sizeof(float));
  std::vector<float> from(dim);
  for (std::size_t i = 0; i < count; ++i) {
    const std::byte* const row = centroids.row(static_cast<NodeId>(i));
    space.row_floats(row, from.data());
    if (bytes_of(space.type()) == 1 && space.metric() == Metric::cosine) {
      const float norm = space.norm(row);
      for (float& x : from) x = norm > 0 ? x / norm : 0;
    }
    float* const to = values_.as<float>().data() + i / width * dim * width + i % width;
    for (std::size_t d = 0; d < dim; ++d) to[d * width] = from[d];
  }
  float* const all = offsets_.as<float>().data();
  std::fill(std::copy(offsets.begin(), offsets.end(), all), all + panels * width, infinity);
  panels_ = {values_.as<float>().data(), all, panels, dim};
}

}  // namespace fastcbir
