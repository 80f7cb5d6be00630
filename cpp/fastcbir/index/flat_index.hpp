// FlatIndex: exact search, and the source of ground truth. Floor 5.
#pragma once

#include <vector>

#include "fastcbir/index/index.hpp"

namespace fastcbir {

class FlatIndex final : public Index {
 public:
  explicit FlatIndex(const Space& space) : Index(space) {}
  FlatIndex(const Space& space, const io::Reader& reader, bool mapped) : Index(space, reader, mapped) {}

  const char* kind() const override { return "flat"; }

 protected:
  void search_batch(const Batch& batch) const override;
  std::vector<Neighbor> search_range(const PreparedQuery& query, float radius, const SearchOptions& options,
                                     const NodeBitset* passing) const override;
  ParallelOutcome insert_rows(std::size_t first, const WorkOptions&) override {
    return {vectors_.size() - first, nullptr};
  }
  void truncate_rows(std::size_t) override {}
  void compact_rows(const WorkOptions&) override { close_gaps(); }
  std::size_t structure_bytes() const override { return 0; }
  io::IndexKind file_kind() const override { return io::IndexKind::flat; }
  void add_sections(std::vector<io::Section>&) const override {}
};

}  // namespace fastcbir
