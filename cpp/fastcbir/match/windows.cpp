#include "fastcbir/match/windows.hpp"

#include <algorithm>
#include <cstring>

namespace fastcbir {

void gather_windows(const FeatureMap& map, const std::int32_t* cells, std::size_t count, std::size_t grid_columns,
                    std::size_t step, std::size_t side, float* out) {
  const auto half = static_cast<std::ptrdiff_t>(side / 2);
  const auto rows = static_cast<std::ptrdiff_t>(map.rows);
  const auto columns = static_cast<std::ptrdiff_t>(map.columns);
  const std::size_t line = side * map.channels;
  for (std::size_t m = 0; m < count; ++m) {
    const auto cell = static_cast<std::size_t>(cells[m]);
    const std::ptrdiff_t top = static_cast<std::ptrdiff_t>(cell / grid_columns * step) - half;
    const std::ptrdiff_t left = static_cast<std::ptrdiff_t>(cell % grid_columns * step) - half;
    const std::ptrdiff_t first = std::clamp<std::ptrdiff_t>(left, 0, columns);
    const std::ptrdiff_t last = std::clamp<std::ptrdiff_t>(left + static_cast<std::ptrdiff_t>(side), 0, columns);
    for (std::size_t y = 0; y < side; ++y, out += line) {
      const std::ptrdiff_t row = top + static_cast<std::ptrdiff_t>(y);
      std::memset(out, 0, line * sizeof(float));
      if (row < 0 || row >= rows || first >= last) continue;
      const float* const from = map.data + (static_cast<std::size_t>(row) * map.columns + first) * map.channels;
      std::memcpy(out + static_cast<std::size_t>(first - left) * map.channels, from,
                  static_cast<std::size_t>(last - first) * map.channels * sizeof(float));
    }
  }
}

}  // namespace fastcbir
