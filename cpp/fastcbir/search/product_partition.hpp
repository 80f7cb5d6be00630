// ProductPartition: a list for each pair of centroids of the two halves of the dimensions. Floor 3.
#pragma once

#include <cstddef>
#include <utility>

#include "fastcbir/search/partition.hpp"

namespace fastcbir {

// The cells of the inverted multi-index (Babenko & Lempitsky, CVPR 2012): many and small, for the price of comparing few
// centroids. A query visits them by the multi-sequence algorithm, in the order of their centroids' values.
class ProductPartition final : public Partition {
 public:
  // The spaces of two halves of one whose rows are `space`'s; the first has the even half of the dimensions.
  ProductPartition(const Space& space, Centroids first, Centroids second);

  // The space of dimensions [0, dim / 2) or [dim / 2, dim).
  static Space half_of(const Space& space, bool second);
  // Copies a half of `count` rows, or of a query (query: true), into rows of its own space.
  static void split(const Space& space, bool second, const std::byte* rows, std::size_t count, bool query,
                    AlignedBuffer& part);

  std::size_t list_count() const override { return halves_[0].count() * halves_[1].count(); }
  std::size_t memory_bytes() const override {
    return halves_[0].rows().memory_bytes() + halves_[1].rows().memory_bytes();
  }
  void assign(const std::byte* rows, std::size_t count, std::span<const PackedCentroids> packed, std::uint32_t* lists,
              Workspace& workspace) const override;
  void centroid(std::size_t list, std::byte* row) const override;
  std::size_t probe(const void* query, std::size_t wanted, const InvertedLists& lists, ProbeScratch& scratch,
                    std::vector<Probe>& probes) const override;
  bool in_stages() const override { return true; }
  std::vector<const Centroids*> codebooks() const override { return {&halves_[0], &halves_[1]}; }

 private:
  Space space_;
  Centroids halves_[2];
};

}  // namespace fastcbir
