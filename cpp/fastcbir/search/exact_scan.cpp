#include "fastcbir/search/exact_scan.hpp"

#include <algorithm>
#include <mutex>
#include <vector>

#include "fastcbir/core/parallel.hpp"
#include "fastcbir/search/top_k.hpp"

namespace fastcbir {
namespace {

// Sixteen queries stay in the first-level cache up to 512 dimensions while a block of rows passes by them; a block of
// rows of 256 KiB stays in the second-level cache for all of them.
constexpr std::size_t query_tile = 16;
constexpr std::size_t row_tile_bytes = std::size_t{256} << 10;

}  // namespace

void exact_scan(const ExactScan& scan, const std::function<void(std::size_t, std::span<const Neighbor>)>& emit) {
  const std::size_t rows = scan.vectors.size();
  const std::size_t threads = resolve_threads(scan.threads);
  const std::size_t row_tile = std::clamp<std::size_t>(row_tile_bytes / scan.vectors.stride_bytes(), 16, 1024);
  const std::size_t tiles = (scan.query_count + query_tile - 1) / query_tile;
  // Few queries: the rows are shared out as well, and the last to finish a tile merges.
  const std::size_t shards = tiles >= threads ? 1 : std::min(threads, std::max<std::size_t>(1, rows / (8 * row_tile)));
  const std::size_t shard_rows = round_up((rows + shards - 1) / shards, row_tile);

  struct Tile {
    std::mutex mutex;
    std::size_t finished = 0;
    std::vector<TopK> merged;
  };
  std::vector<Tile> merging(shards > 1 ? tiles : 0);

  parallel_for(tiles * shards, 1, threads, scan.monitor, [&](std::size_t, std::size_t begin, std::size_t end) {
    std::vector<float> values(query_tile * row_tile);
    std::vector<TopK> nearest(query_tile);
    for (std::size_t task = begin; task < end; ++task) {
      const std::size_t first_query = task / shards * query_tile;
      const std::size_t queries = std::min(query_tile, scan.query_count - first_query);
      const std::size_t first_row = task % shards * shard_rows;
      const std::size_t last_row = std::min(rows, first_row + shard_rows);
      for (std::size_t q = 0; q < queries; ++q) nearest[q].reset(scan.k);
      for (std::size_t row = first_row; row < last_row; row += row_tile) {
        const std::size_t count = std::min(row_tile, last_row - row);
        scan.kernels.tile(scan.queries + first_query * scan.query_stride_bytes, scan.query_stride_bytes, queries,
                          scan.vectors.row(static_cast<NodeId>(row)), scan.vectors.stride_bytes(), count, scan.dim,
                          values.data(), row_tile);
        for (std::size_t q = 0; q < queries; ++q) {
          const float* of_query = values.data() + q * row_tile;
          for (std::size_t i = 0; i < count; ++i) {
            if (of_query[i] > nearest[q].bound()) continue;
            const auto node = static_cast<NodeId>(row + i);
            if (scan.passing == nullptr || (*scan.passing)[node]) nearest[q].push(of_query[i], node);
          }
        }
      }
      if (shards == 1) {
        for (std::size_t q = 0; q < queries; ++q) emit(first_query + q, nearest[q].sorted());
        continue;
      }
      Tile& tile = merging[task / shards];
      const std::lock_guard lock(tile.mutex);
      if (tile.merged.empty()) {
        tile.merged.resize(queries);
        for (TopK& merged : tile.merged) merged.reset(scan.k);
      }
      for (std::size_t q = 0; q < queries; ++q) {
        for (const Neighbor& neighbor : nearest[q].sorted()) tile.merged[q].push(neighbor.distance, neighbor.node);
      }
      if (++tile.finished == shards) {
        for (std::size_t q = 0; q < queries; ++q) emit(first_query + q, tile.merged[q].sorted());
      }
    }
  });
}

}  // namespace fastcbir
