#include "fastcbir/search/entry_points.hpp"

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "fastcbir/core/rng.hpp"

namespace fastcbir {
namespace {

constexpr std::size_t block = kernels::packed_neighbors;

// One node in so many, in whole blocks, as long as the codes take no more than a part of the first cache. Four times as
// many lead nearer by a tenth of a visit, and cost as much as one and a half.
std::size_t wanted(std::size_t size, std::size_t block_bytes) {
  constexpr std::size_t part = 1024;
  constexpr std::size_t most_bytes = 32 * 1024;
  const std::size_t most_blocks = std::max<std::size_t>(1, most_bytes / block_bytes);
  return std::min(size, std::clamp<std::size_t>(size / part / block, 1, most_blocks) * block);
}

// Those of the highest levels, in an order by lot.
std::vector<NodeId> highest(const GraphLinks& links, std::size_t count) {
  std::vector<NodeId> nodes(links.size());
  std::iota(nodes.begin(), nodes.end(), NodeId{0});
  const auto is_before = [&](NodeId a, NodeId b) {
    const std::size_t level_a = links.level_of(a), level_b = links.level_of(b);
    return level_a != level_b ? level_a > level_b : mix64(a) < mix64(b);
  };
  std::nth_element(nodes.begin(), nodes.begin() + static_cast<std::ptrdiff_t>(count) - 1, nodes.end(), is_before);
  nodes.resize(count);
  std::sort(nodes.begin(), nodes.end());
  return nodes;
}

}  // namespace

void EntryPoints::choose(const PackedCodec& codec, const VectorStore& vectors, const GraphLinks& links) {
  clear();
  if (links.size() == 0) return;
  const std::vector<NodeId> nodes = highest(links, wanted(links.size(), codec.block_bytes(block)));
  const std::size_t width = codec.padded_dim();
  AlignedBuffer scratch, rotated, mean;
  rotated.resize(nodes.size() * width * sizeof(float));
  mean.resize(width * sizeof(float));
  std::vector<const std::byte*> stored;
  for (const NodeId node : nodes) stored.push_back(vectors.row(node));
  codec.load_rows(stored, rotated.as<float>().data(), scratch);
  std::vector<const float*> rows;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const float* const row = rotated.as<float>().data() + i * width;
    for (std::size_t d = 0; d < width; ++d) mean.as<float>()[d] += row[d] / static_cast<float>(nodes.size());
    rows.push_back(row);
  }
  nodes_.resize(round_up(nodes.size(), block) * sizeof(std::uint32_t));
  std::fill(nodes_.as<std::uint32_t>().begin(), nodes_.as<std::uint32_t>().end(), no_node);
  std::copy(nodes.begin(), nodes.end(), nodes_.as<std::uint32_t>().begin());
  blocks_.resize(codec.block_bytes(round_up(nodes.size(), block)));
  PackedCodec::Workspace workspace;
  for (std::size_t first = 0; first < nodes.size(); first += block) {
    const auto part = std::span(rows).subspan(first, std::min(block, nodes.size() - first));
    codec.pack(mean.as<float>().data(), part, blocks_.data() + codec.block_bytes(first), workspace);
  }
  count_ = nodes.size();
  chosen_among_ = links.size();
}

void EntryPoints::clear() { *this = EntryPoints(); }

bool EntryPoints::contains(NodeId node) const {
  const auto nodes = nodes_.as<std::uint32_t>().first(count_);
  return std::binary_search(nodes.begin(), nodes.end(), node);
}

NodeId EntryPoints::nearest(const kernels::PackedKernels& kernels, const kernels::PackedQuery& query, Key* keys) const {
  const std::size_t block_bytes = kernels::packed_block_bytes(query.groups, query.planes);
  Key least = key_of(0, nodes_.as<std::uint32_t>()[0]);
  float bound = infinity;
  for (std::size_t first = 0; first < count_; first += block) {
    const std::byte* codes = blocks_.data() + first / block * block_bytes;
    const std::size_t found =
        kernels.candidates(query, codes, nodes_.as<std::uint32_t>().data() + first, 0, bound, keys);
    if (found == 0) continue;
    least = *std::min_element(keys, keys + found);
    bound = value_of(least);
  }
  return node_of(least);
}

}  // namespace fastcbir
