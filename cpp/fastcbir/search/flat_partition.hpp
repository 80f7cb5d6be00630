// FlatPartition: a list for each centroid, all of which are compared with a query. Floor 3.
#pragma once

#include <cstring>
#include <utility>

#include "fastcbir/search/partition.hpp"

namespace fastcbir {

class FlatPartition final : public Partition {
 public:
  explicit FlatPartition(Centroids centroids) : centroids_(std::move(centroids)) {}

  std::size_t list_count() const override { return centroids_.count(); }
  std::size_t memory_bytes() const override { return centroids_.rows().memory_bytes(); }
  void assign(const std::byte* rows, std::size_t count, std::span<const PackedCentroids> packed, std::uint32_t* lists,
              Workspace& workspace) const override {
    centroids_.nearest(rows, count, packed[0], lists, nullptr, workspace.nearest);
  }
  void centroid(std::size_t list, std::byte* row) const override {
    std::memcpy(row, centroids_.rows().row(static_cast<NodeId>(list)), centroids_.rows().stride_bytes());
  }
  std::size_t probe(const void* query, std::size_t wanted, const InvertedLists& lists, ProbeScratch& scratch,
                    std::vector<Probe>& probes) const override;
  bool in_stages() const override { return false; }
  std::vector<const Centroids*> codebooks() const override { return {&centroids_}; }

 private:
  Centroids centroids_;
};

}  // namespace fastcbir
