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
    for (std::size_t i = 0; i < kernels::packed_neighbors; ++i) neighbors_[i] = at(1 + i);
  }

  // `node` and the neighbours that `slots` names, up to the first empty one.
  void load(NodeId node, const std::uint32_t* slots) {
    stored_[0] = vectors_.row(node);
    count_ = 0;
    for (; count_ < kernels::packed_neighbors && slots[count_] != no_node; ++count_) {
      stored_[1 + count_] = vectors_.row(slots[count_]);
    }
    codec_.load_rows({stored_, 1 + count_}, rows_.as<float>().data(), scratch_);
  }
  const float* base() const { return at(0); }
  std::span<const float* const> neighbors() const { return {neighbors_, count_}; }

 private:
  const float* at(std::size_t place) const { return rows_.as<float>().data() + place * codec_.padded_dim(); }

  const PackedCodec& codec_;
  const VectorStore& vectors_;
  AlignedBuffer rows_;
  AlignedBuffer scratch_;
  const std::byte* stored_[1 + kernels::packed_neighbors];
  const float* neighbors_[kernels::packed_neighbors];
  std::size_t count_ = 0;
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
    for (std::size_t first = 0; first < links.capacity(0); first += kernels::packed_neighbors) {
      rows.load(nodes[i], slots + first);
      for (const float* row : rows.neighbors()) {
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
      for (std::size_t first = 0; first < links.capacity(0); first += kernels::packed_neighbors) {
        rows.load(nodes[begin], slots + first);
        codec.pack(rows.base(), rows.neighbors(), block, workspace);
        block += block_bytes;
      }
    }
  });
}

}  // namespace fastcbir
