// Scorers of inverted lists: by the rows of their nodes, or by the codes beside them. Floor 3.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "fastcbir/core/prefetch.hpp"
#include "fastcbir/kernels/table.hpp"
#include "fastcbir/search/scan_lists.hpp"
#include "fastcbir/storage/lists.hpp"

namespace fastcbir {

// A list to scan, and the kernel value of its centroid.
struct Probe {
  float value;
  std::uint32_t list;
};

// Walks lists in the order of `probes`.
class ProbeWalk {
 public:
  ProbeWalk(const InvertedLists& lists, std::span<const Probe> probes) : lists_(lists), probes_(probes) {}

  bool next() {
    if (upcoming_ == probes_.size()) return false;
    probe_ = probes_[upcoming_++];
    left_ = lists_.size(probe_.list);
    block_ = left_ > 0 ? lists_.block(probe_.list, 0) : nullptr;
    first_ = block_;
    return true;
  }

 protected:
  // On by up to `most` nodes, whole blocks of them, from block_; their number.
  std::size_t advance(std::size_t most) {
    const std::size_t count = std::min(left_, most);
    first_ = block_;
    left_ -= count;
    block_ += most / InvertedLists::block_nodes * lists_.stride_bytes();
    return count;
  }
  // The block after the next, or that many into the list after this: memory brings it while two are scored.
  void prefetch_ahead() const {
    constexpr std::size_t two = 2 * InvertedLists::block_nodes;
    if (left_ > two) {
      prefetch(block_ + 2 * lists_.stride_bytes(), lists_.code_bytes());
    } else if (upcoming_ < probes_.size()) {
      const std::size_t at = left_ > InvertedLists::block_nodes ? 0 : 1;
      const std::uint32_t list = probes_[upcoming_].list;
      if (at < lists_.block_count(list)) prefetch(lists_.block(list, at), lists_.code_bytes());
    }
  }

  const InvertedLists& lists_;
  std::span<const Probe> probes_;
  Probe probe_{};
  std::size_t upcoming_ = 0;
  std::size_t left_ = 0;              // nodes of the list that are still to come
  const std::byte* block_ = nullptr;  // where they begin
  const std::byte* first_ = nullptr;  // first block of what was scored last
};

// Exact values, from the rows of the nodes.
class RowScorer : public ProbeWalk {
 public:
  RowScorer(const InvertedLists& lists, std::span<const Probe> probes, const NamedScorer& named)
      : ProbeWalk(lists, probes), named_(named) {}

  std::size_t score(float bound, Key* keys, std::size_t& found) {
    const std::size_t count = advance(list_block);
    found = 0;
    for (std::size_t begin = 0; begin < count; begin += InvertedLists::block_nodes) {
      const std::size_t some = std::min(InvertedLists::block_nodes, count - begin);
      const NodeId* nodes = lists_.nodes(first_ + begin / InvertedLists::block_nodes * lists_.stride_bytes());
      float values[InvertedLists::block_nodes];
      named_.score_nodes({nodes, some}, values);
      found += keys_within(
          values, some, bound, [&](std::size_t i) { return nodes[i]; }, keys + found);
    }
    return count;
  }

 private:
  const NamedScorer& named_;
};

// Those keys whose nodes are in the block, to the front; their number. Places of a last block that were never taken have
// infinite estimates; those given up by truncate() may not.
inline std::size_t keep_present(std::span<const NodeId> nodes, Key* keys, std::size_t found) {
  if (nodes.size() == InvertedLists::block_nodes) return found;
  const auto gone = [&](Key key) { return std::find(nodes.begin(), nodes.end(), node_of(key)) == nodes.end(); };
  return static_cast<std::size_t>(std::remove_if(keys, keys + found, gone) - keys);
}

// Estimates, from codes of the nodes' differences to their list's centroid times `reach`, which is 1 but where kernel
// values are minus inner products.
class CodeScorer : public ProbeWalk {
 public:
  CodeScorer(const InvertedLists& lists, std::span<const Probe> probes, const kernels::BlockScan& scan,
             const kernels::PackedQuery& query, float reach)
      : ProbeWalk(lists, probes), scan_(scan), query_(query), reach_(reach) {}

  // A block at a time, so that each meets the bound that those before it have made.
  std::size_t score(float bound, Key* keys, std::size_t& found) {
    const std::size_t count = advance(InvertedLists::block_nodes);
    if (count == 0) return 0;
    prefetch_ahead();
    const NodeId* const nodes = lists_.nodes(first_);
    found = scan_.candidates(query_, first_, nodes, reach_ * probe_.value, bound, keys);
    found = keep_present({nodes, count}, keys, found);
    return count;
  }

 private:
  const kernels::BlockScan& scan_;
  const kernels::PackedQuery& query_;
  float reach_;
};

}  // namespace fastcbir
