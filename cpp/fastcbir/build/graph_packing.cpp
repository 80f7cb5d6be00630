#include "fastcbir/build/graph_packing.hpp"

#include <algorithm>

#include "fastcbir/core/parallel.hpp"
#include "fastcbir/kernels/dispatch.hpp"

namespace fastcbir {
namespace {

// A node's row and those of up to 32 neighbours, rotated. Each row is rotated once for every node that links to it: to keep
// them all would take as much memory as the index, and save a few hundredths of its building.
class RotatedRows {
 public:
  RotatedRows(const PackedCodec& codec, const VectorStore& vectors) : codec_(codec), vectors_(vectors) {
    rows_.resize((1 + kernels::packed_neighbors) * codec.padded_dim() * sizeof(float));
  }

  void set_base(NodeId node) { rotate(node, 0); }
  const float* base() const { return rows_.as<float>().data(); }
  // Those that `slots` names, up to the first empty one.
  std::span<const float* const> neighbors(const std::uint32_t* slots) {
    std::size_t count = 0;
    for (; count < kernels::packed_neighbors && slots[count] != no_node; ++count) {
      neighbors_[count] = rotate(slots[count], 1 + count);
    }
    return {neighbors_, count};
  }

 private:
  const float* rotate(NodeId node, std::size_t at) {
    float* const to = rows_.as<float>().data() + at * codec_.padded_dim();
    codec_.load_row(vectors_.row(node), to, scratch_);
    return to;
  }

  const PackedCodec& codec_;
  const VectorStore& vectors_;
  AlignedBuffer rows_;
  AlignedBuffer scratch_;
  const float* neighbors_[kernels::packed_neighbors];
};

// A sample of links tells the scale of distances; 0 with none yet: then codes can wait for the next vectors.
float typical_unit(const PackedCodec& codec, const VectorStore& vectors, const GraphLinks& links,
                   const std::vector<NodeId>& nodes) {
  constexpr std::size_t sampled_nodes = 1000;
  const kernels::OneFn squared_distance = kernels::distance_kernels(kernels::active(), ScalarType::f32, Metric::l2).one;
  RotatedRows rows(codec, vectors);
  std::vector<float> distances;
  bool any = false;
  for (std::size_t i = 0; i < nodes.size(); i += std::max<std::size_t>(1, nodes.size() / sampled_nodes)) {
    const std::uint32_t* slots = links.block(nodes[i], 0);
    rows.set_base(nodes[i]);
    for (std::size_t first = 0; first < links.capacity(0); first += kernels::packed_neighbors) {
      for (const float* row : rows.neighbors(slots + first)) {
        any = true;
        const float distance2 = squared_distance(rows.base(), row, codec.padded_dim());
        if (distance2 > 0) distances.push_back(distance2);
      }
    }
  }
  if (!any) return 0;
  // The median: a few far outliers must not make all other distances too small to be told apart.
  const auto middle = distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / 2);
  std::nth_element(distances.begin(), middle, distances.end());
  return PackedCodec::unit_of(distances.empty() ? 0 : double{*middle});
}

}  // namespace

void pack_codes(PackedCodec& codec, const VectorStore& vectors, GraphLinks& links, const std::vector<NodeId>& nodes,
                std::size_t threads) {
  if (nodes.empty()) return;
  if (codec.unit() == 0) codec.set_unit(typical_unit(codec, vectors, links, nodes));
  if (codec.unit() == 0) return;
  struct Worker {
    RotatedRows rows;
    PackedCodec::Workspace workspace;
  };
  threads = resolve_threads(threads);
  std::vector<Worker> workers;
  for (std::size_t i = 0; i < threads; ++i) workers.push_back({RotatedRows(codec, vectors), {}});
  const std::size_t block_bytes = codec.block_bytes(kernels::packed_neighbors);
  parallel_for(nodes.size(), 16, threads, nullptr, [&](std::size_t worker, std::size_t begin, std::size_t end) {
    auto& [rows, workspace] = workers[worker];
    for (; begin < end; ++begin) {
      const std::uint32_t* slots = links.block(nodes[begin], 0);
      std::byte* block = links.payload(nodes[begin]);
      rows.set_base(nodes[begin]);
      for (std::size_t first = 0; first < links.capacity(0); first += kernels::packed_neighbors) {
        codec.pack(rows.base(), rows.neighbors(slots + first), block, workspace);
        block += block_bytes;
      }
    }
  });
}

}  // namespace fastcbir
