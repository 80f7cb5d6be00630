#include "fastcbir/build/graph_packing.hpp"

#include <algorithm>

#include "fastcbir/core/parallel.hpp"
#include "fastcbir/kernels/dispatch.hpp"

namespace fastcbir {
namespace {

// The rows of `nodes` and of their neighbours, each rotated once.
class RotatedRows {
 public:
  RotatedRows(const PackedCodec& codec, const VectorStore& vectors, const GraphLinks& links,
              const std::vector<NodeId>& nodes, std::size_t threads)
      : width_(codec.padded_dim()) {
    const bool all = nodes.size() >= links.size() / 16;
    if (!all) {
      nodes_ = nodes;
      for (const NodeId node : nodes) {
        const std::uint32_t* slots = links.block(node, 0);
        for (std::size_t i = 0; i < links.capacity(0) && slots[i] != no_node; ++i) nodes_.push_back(slots[i]);
      }
      std::sort(nodes_.begin(), nodes_.end());
      nodes_.erase(std::unique(nodes_.begin(), nodes_.end()), nodes_.end());
    }
    const std::size_t count = all ? links.size() : nodes_.size();
    rows_.resize(count * width_ * sizeof(float));
    std::vector<AlignedBuffer> scratch(threads);
    parallel_for(count, 256, threads, nullptr, [&](std::size_t worker, std::size_t begin, std::size_t end) {
      for (; begin < end; ++begin) {
        const NodeId node = all ? static_cast<NodeId>(begin) : nodes_[begin];
        codec.rotate_row(vectors.row(node), rows_.as<float>().data() + begin * width_, scratch[worker]);
      }
    });
  }

  const float* operator[](NodeId node) const {
    const std::size_t at =
        nodes_.empty() ? node : std::lower_bound(nodes_.begin(), nodes_.end(), node) - nodes_.begin();
    return rows_.as<float>().data() + at * width_;
  }

 private:
  std::size_t width_;
  std::vector<NodeId> nodes_;  // ascending; empty: all
  AlignedBuffer rows_;
};

}  // namespace

void pack_codes(PackedCodec& codec, const VectorStore& vectors, GraphLinks& links, const std::vector<NodeId>& nodes,
                std::size_t threads) {
  if (nodes.empty()) return;
  threads = resolve_threads(threads);
  const RotatedRows rotated(codec, vectors, links, nodes, threads);
  const auto neighbors_of = [&](NodeId node, std::vector<const float*>& rows) {
    rows.clear();
    const std::uint32_t* slots = links.block(node, 0);
    for (std::size_t i = 0; i < links.capacity(0) && slots[i] != no_node; ++i) rows.push_back(rotated[slots[i]]);
  };
  if (codec.unit() == 0) {
    // A sample of links tells the scale of distances; with none yet, codes can wait for the next vectors.
    constexpr std::size_t sampled_nodes = 1000;
    const kernels::OneFn squared_distance =
        kernels::distance_kernels(kernels::active(), ScalarType::f32, Metric::l2).one;
    std::vector<float> distances;
    bool any = false;
    std::vector<const float*> rows;
    for (std::size_t i = 0; i < nodes.size(); i += std::max<std::size_t>(1, nodes.size() / sampled_nodes)) {
      neighbors_of(nodes[i], rows);
      any = any || !rows.empty();
      for (const float* row : rows) {
        const float distance2 = squared_distance(rotated[nodes[i]], row, codec.padded_dim());
        if (distance2 > 0) distances.push_back(distance2);
      }
    }
    if (!any) return;
    // The median: a few far outliers must not make all other distances too small to be told apart.
    const auto middle = distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / 2);
    std::nth_element(distances.begin(), middle, distances.end());
    codec.set_unit(PackedCodec::unit_of(distances.empty() ? 0 : double{*middle}));
  }
  struct Worker {
    PackedCodec::Workspace workspace;
    std::vector<const float*> rows;
  };
  std::vector<Worker> workers(threads);
  const std::size_t block_bytes = codec.block_bytes(kernels::packed_neighbors);
  parallel_for(nodes.size(), 16, threads, nullptr, [&](std::size_t worker, std::size_t begin, std::size_t end) {
    auto& [workspace, rows] = workers[worker];
    for (; begin < end; ++begin) {
      neighbors_of(nodes[begin], rows);
      std::byte* block = links.payload(nodes[begin]);
      for (std::size_t first = 0; first < links.capacity(0); first += kernels::packed_neighbors) {
        const std::size_t from = std::min(first, rows.size());
        const std::size_t to = std::min(first + kernels::packed_neighbors, rows.size());
        codec.pack(rotated[nodes[begin]], std::span(rows).subspan(from, to - from), block, workspace);
        block += block_bytes;
      }
    }
  });
}

}  // namespace fastcbir
