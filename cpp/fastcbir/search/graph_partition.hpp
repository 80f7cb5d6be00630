// GraphPartition: a list for each of many centroids, over which a graph leads to the nearest. Floor 3.
#pragma once

#include <utility>

#include "fastcbir/search/flat_partition.hpp"
#include "fastcbir/storage/graph.hpp"

namespace fastcbir {

// As FlatPartition, but a row meets some hundred centroids instead of all, and its list is nearly always the nearest;
// of the lists to visit few are missed. Not for inner products: a graph leads by distances.
class GraphPartition final : public Partition {
 public:
  // From so many centroids on the graph is quicker, for the assignment of rows and for a query.
  static constexpr std::size_t least_count = 4096;
  static constexpr std::size_t least_count_plain = 1024;  // where centroids have no codes of their own
  static bool suits(const Space& space, std::size_t centroids, bool have_codes) {
    return centroids >= (have_codes ? least_count : least_count_plain) && space.metric() != Metric::ip;
  }

  // The links are of the first centroids, each of which is reached from `entry`; those beyond them equal others, and
  // nothing is in their lists.
  GraphPartition(Centroids centroids, GraphLinks links, NodeId entry)
      : flat_(std::move(centroids)), links_(std::move(links)), entry_(entry) {}

  std::size_t list_count() const override { return flat_.list_count(); }
  std::size_t memory_bytes() const override { return flat_.memory_bytes() + links_.memory_bytes(); }
  std::vector<PackedCentroids> pack(std::size_t) const override { return {}; }
  void assign(const std::byte* rows, std::size_t count, std::span<const PackedCentroids> packed, std::uint32_t* lists,
              Workspace& workspace) const override;
  void centroid(std::size_t list, std::byte* row) const override { flat_.centroid(list, row); }
  std::size_t probe(const void* query, std::size_t wanted, const InvertedLists& lists, ProbeScratch& scratch,
                    std::vector<Probe>& probes) const override;
  bool in_stages() const override { return true; }
  std::vector<const Centroids*> codebooks() const override { return flat_.codebooks(); }

  const GraphLinks& links() const { return links_; }
  NodeId entry() const { return entry_; }

 private:
  const Centroids& centroids() const { return *flat_.codebooks()[0]; }
  // The nearest found are in walk.beam, of `ef` places.
  void search(const void* query, std::size_t ef, GraphWalk& walk, SearchProgress& progress) const;

  FlatPartition flat_;
  GraphLinks links_;
  NodeId entry_;
};

}  // namespace fastcbir
