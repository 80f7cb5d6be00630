// The list loop for many queries at once: a list's codes are read once for all queries that visit it. Floor 3.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fastcbir/core/bitset.hpp"
#include "fastcbir/search/candidates.hpp"
#include "fastcbir/search/inverted_scorers.hpp"

namespace fastcbir {

// Which queries visit which lists, sorted by list.
class Visits {
 public:
  struct Visit {
    std::uint32_t query;
    float value;  // of the list's centroid
  };

  // The probes of query q are probes[ends[q - 1]..ends[q]); the first `skipped` of them are left out.
  void sort(std::span<const Probe> probes, std::span<const std::size_t> ends, std::size_t skipped,
            std::size_t list_count) {
    begins_.assign(list_count + 1, 0);
    for_each(probes, ends, skipped, [&](const Probe& probe, std::size_t) { ++begins_[probe.list + 1]; });
    for (std::size_t list = 0; list < list_count; ++list) begins_[list + 1] += begins_[list];
    visits_.resize(begins_[list_count]);
    next_.assign(begins_.begin(), begins_.end() - 1);
    for_each(probes, ends, skipped, [&](const Probe& probe, std::size_t query) {
      visits_[next_[probe.list]++] = {static_cast<std::uint32_t>(query), probe.value};
    });
  }

  std::span<const Visit> of(std::size_t list) const {
    return std::span(visits_).subspan(begins_[list], begins_[list + 1] - begins_[list]);
  }

 private:
  template <class Take>
  static void for_each(std::span<const Probe> probes, std::span<const std::size_t> ends, std::size_t skipped,
                       Take&& take) {
    std::size_t at = 0;
    for (std::size_t query = 0; query < ends.size(); ++query) {
      for (at += skipped; at < ends[query]; ++at) take(probes[at], query);
      at = ends[query];
    }
  }

  std::vector<std::uint32_t> begins_;
  std::vector<std::uint32_t> next_;
  std::vector<Visit> visits_;
};

// What a query of a batch has and collects.
struct BatchedQuery {
  kernels::PackedQuery packed;
  Candidates candidates;
  std::uint32_t cost = 0;
};

// Scores a list for `visits`, four queries at a time. reach: as CodeScorer's. passing: null if all nodes may be found.
inline void scan_for_all(const InvertedLists& lists, std::size_t list, std::span<const Visits::Visit> visits,
                         const kernels::BlockScan& scan, float reach, const NodeBitset* passing,
                         std::span<BatchedQuery> queries) {
  constexpr std::size_t together = 4;
  alignas(row_alignment) Key keys[together * kernels::packed_key_room];
  const std::size_t size = lists.size(list);
  for (std::size_t begin = 0; begin < visits.size(); begin += together) {
    const std::size_t count = std::min(together, visits.size() - begin);
    BatchedQuery* of[together];
    const kernels::PackedQuery* packed[together];
    float bases[together];
    float bounds[together];
    std::size_t found[together];
    for (std::size_t q = 0; q < together; ++q) {  // the last stands in for those that are missing, and finds nothing
      const Visits::Visit& visit = visits[begin + std::min(q, count - 1)];
      of[q] = &queries[visit.query];
      packed[q] = &of[q]->packed;
      bases[q] = reach * visit.value;
      bounds[q] = q < count ? of[q]->candidates.bound() : -infinity;
    }
    for (std::size_t at = 0; at < lists.block_count(list); ++at) {
      const std::byte* const block = lists.block(list, at);
      const NodeId* const nodes = lists.nodes(block);
      if (count == 1) {
        found[0] = scan.candidates(*packed[0], block, nodes, bases[0], bounds[0], keys);
      } else {
        scan.candidates4(packed, block, nodes, bases, bounds, keys, found);
      }
      const std::size_t present = std::min(InvertedLists::block_nodes, size - at * InvertedLists::block_nodes);
      for (std::size_t q = 0; q < count; ++q) {
        if (found[q] == 0) continue;
        Key* const own = keys + q * kernels::packed_key_room;
        std::size_t kept = keep_present({nodes, present}, own, found[q]);
        if (passing != nullptr) kept = keep_passing(*passing, own, kept);
        if (kept == 0) continue;
        of[q]->candidates.push(own, kept);
        bounds[q] = of[q]->candidates.bound();
      }
    }
    for (std::size_t q = 0; q < count; ++q) of[q]->cost += static_cast<std::uint32_t>(size);
  }
}

}  // namespace fastcbir
